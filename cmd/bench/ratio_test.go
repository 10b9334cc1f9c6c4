package main

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func seconds(values ...float64) []time.Duration {
	var figures []time.Duration
	for _, value := range values {
		figures = append(figures, time.Duration(value*float64(time.Second)))
	}
	return figures
}

func TestRatio(t *testing.T) {
	for _, test := range []struct {
		name              string
		figures, baseline []time.Duration
		want              string
	}{
		{"itself", seconds(1, 2, 3, 4, 5), seconds(1, 2, 3, 4, 5), "1.00"},
		// Each round is slower than the one before, for both: the ratio is what it is.
		{"drift", seconds(1, 2, 3, 4, 5), seconds(2, 4, 6, 8, 10), "0.50"},
		{"one round is disturbed", seconds(1, 1, 9, 1, 1), seconds(2, 2, 2, 2, 2), "0.50"},
		{"up to 20 %", seconds(0.91, 0.91, 1, 1.1, 1.1), seconds(1, 1, 1, 1, 1), "1.00"},
		{"over 20 %", seconds(0.89, 0.89, 1, 1.1, 1.1), seconds(1, 1, 1, 1, 1), "scatters 21 %"},
		{"too few rounds", seconds(1, 1), seconds(2, 2), "-"},
		{"no CPU time that /proc could tell", seconds(1, 1, 1), seconds(0, 0, 0), "-"},
		{"nothing", nil, nil, "-"},
	} {
		if got := ratioOf(test.figures, test.baseline).String(); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestQuantile(t *testing.T) {
	for _, test := range []struct {
		q, want float64
	}{{0, 1}, {0.25, 2}, {0.5, 3}, {0.75, 4}, {0.9, 7.6}, {1, 10}} {
		if got := quantile([]float64{1, 2, 3, 4, 10}, test.q); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("quantile %v is %v, want %v", test.q, got, test.want)
		}
	}
	if got := median([]float64{4, 1}); got != 2.5 {
		t.Errorf("the median of 4 and 1 is %v", got)
	}
}

// A quantile lies between values that are there, half of them on each side of the median, in
// whatever order they came.
func TestMedian_Properties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		figures := rapid.SliceOfN(rapid.Int64Range(0, 1e15), 1, 20).Draw(t, "figures")
		m := median(figures)
		below, above := 0, 0
		for _, one := range figures {
			if one < m {
				below++
			}
			if one > m {
				above++
			}
		}
		if below > len(figures)/2 || above > (len(figures)+1)/2 {
			t.Fatalf("%d of %v are below %d, %d above", below, figures, m, above)
		}
	})
}
