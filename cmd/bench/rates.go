package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// bitRates are rates of lines, in bits a second.
type bitRates []int64

var bitUnits = []struct {
	name string
	bits float64
}{{"Gbit", 1e9}, {"Mbit", 1e6}, {"kbit", 1e3}}

func (r *bitRates) Set(text string) error {
	var list bitRates
	for field := range strings.SplitSeq(text, ",") {
		rate, err := parseBitRate(field)
		if err != nil {
			return err
		}
		list = append(list, rate)
	}
	*r = list
	return nil
}

func parseBitRate(text string) (int64, error) {
	for _, unit := range bitUnits {
		if number, found := strings.CutSuffix(text, unit.name); found {
			if value, err := strconv.ParseFloat(number, 64); err == nil && value*unit.bits >= 1e3 && value*unit.bits <= 1e12 {
				return int64(value * unit.bits), nil
			}
		}
	}
	return 0, fmt.Errorf("%q is not the rate of a line, such as 100Mbit", text)
}

func (r bitRates) String() string {
	var texts []string
	for _, rate := range r {
		for _, unit := range bitUnits {
			if float64(rate) >= unit.bits {
				texts = append(texts, strconv.FormatFloat(float64(rate)/unit.bits, 'g', 4, 64)+unit.name)
				break
			}
		}
	}
	return strings.Join(texts, ",")
}

// durations are several of Go's.
type durations []time.Duration

func (d *durations) Set(text string) error {
	var list durations
	for field := range strings.SplitSeq(text, ",") {
		one, err := time.ParseDuration(field)
		if err != nil || one < 0 {
			return fmt.Errorf("%q is not a time, such as 10ms", field)
		}
		list = append(list, one)
	}
	*d = list
	return nil
}

func (d durations) String() string {
	var texts []string
	for _, one := range d {
		texts = append(texts, one.String())
	}
	return strings.Join(texts, ",")
}
