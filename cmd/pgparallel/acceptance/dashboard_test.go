package acceptance_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

const (
	dashboardFile    = "../../../packaging/grafana/pgparallel.json"
	dashboardPicture = "../docs/dashboard.svg"
)

// dashboard is what the tests need of a dashboard of Grafana.
type dashboard struct {
	Panels []struct {
		Type, Title, Description string
		GridPos                  struct{ X, Y, W, H int }
		FieldConfig              struct {
			Defaults struct {
				Unit string
			}
		}
		Targets []struct{ Expr, LegendFormat string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	must(t, err)
	must(t, json.Unmarshal(text, &d))
	if len(d.Panels) == 0 {
		t.Fatal("the dashboard has no panel")
	}
	return d
}

// Each query of the dashboard asks for metrics that serve has, and by labels that they have.
func TestDashboard(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	must(t, walsendertest.Sample{}.Write(data))
	s := serveWithMetrics(t, data)
	leader := s.connect(t)
	ask(t, leader, "LIST_TABLESPACES PROGRESS")
	ask(t, leader, "START_BACKUP MAX_RATE 32768")
	ask(t, leader, "SEND_FILE ('PG_VERSION')")
	now := s.scrape(t)
	picture, err := os.ReadFile(dashboardPicture)
	must(t, err)
	for _, panel := range readDashboard(t).Panels {
		if panel.Description == "" || !strings.Contains(string(picture), ">"+panel.Title+"<") {
			t.Errorf("panel %q has no description, or is not in %s", panel.Title, dashboardPicture)
		}
		for _, target := range panel.Targets {
			q, err := parseQuery(target.Expr)
			if err != nil {
				t.Errorf("panel %q: %v", panel.Title, err)
				continue
			}
			if got := q.at(history{{time.Now(), now.values}, {time.Now().Add(time.Second), now.values}}, 1); len(got) == 0 {
				t.Errorf("panel %q: nothing answers %s", panel.Title, target.Expr)
			}
		}
	}
	must(t, leader.Close(t.Context()))
}

// TestDashboard_Picture_Long draws the dashboard from the metrics of two backups, of which
// one has its rate changed. With -update-picture it writes the picture that docs/operations.md shows.
func TestDashboard_Picture_Long(t *testing.T) {
	longtest.Mark(t)
	data := filepath.Join(t.TempDir(), "data")
	must(t, walsendertest.Sample{}.Write(data))
	for i := range 40 {
		must(t, os.WriteFile(filepath.Join(data, "base", "1", fmt.Sprint(50000+i)), make([]byte, 4<<20), 0o600)) // new pages
	}
	s := serveWithMetrics(t, data)
	succeed(t, backup(t, s.socketDir, filepath.Join(t.TempDir(), "before"), "--no-sync")) // one that is over
	var seen history
	look := func() { seen = append(seen, moment{time.Now(), s.scrape(t).values}) }
	for range 3 {
		look()
		time.Sleep(sampling)
	}
	first := start(t, backup(t, s.socketDir, filepath.Join(t.TempDir(), "first"), "-j", "4", "-r", "24M", "--no-sync"))
	var second *process
	plan := map[int]func(){
		15: func() { s.setRate(t, "8M") },
		25: func() {
			second = start(t, backup(t, s.socketDir, filepath.Join(t.TempDir(), "second"), "-j", "2", "-r", "40M", "--no-sync"))
		},
		35: func() { s.setRate(t, "32M") },
	}
	running := func(p *process) bool {
		select {
		case <-p.ended:
			return false
		default:
			return true
		}
	}
	for i := 0; i < 200 && (i < 36 || running(first) || running(second)); i++ {
		if do := plan[i]; do != nil {
			do()
		}
		look()
		time.Sleep(sampling)
	}
	// The picture ends where both still ran: it shows more then.
	for len(seen) > 40 && seen[len(seen)-1].values[`pgparallel_backups{state="running"}`] < 2 {
		seen = seen[:len(seen)-1]
	}
	picture, empty := drawDashboard(readDashboard(t), seen)
	for _, title := range empty {
		t.Errorf("panel %q shows nothing", title)
	}
	if *updatePicture {
		must(t, os.WriteFile(dashboardPicture, []byte(picture), 0o644))
	}
}

// sampling is how often the picture's metrics are scraped: as often as a server that is
// observed for a day would be, if the day were as short.
const sampling = 200 * time.Millisecond

// setRate changes the rate of the backup that was started first.
func (s *metricsServer) setRate(t *testing.T, rate string) {
	t.Helper()
	p := succeed(t, command(t, "status", "--json", "-h", s.socketDir, "-p", "5433", "-U", "postgres"))
	var shown struct{ Backups []struct{ Backup string } }
	must(t, json.Unmarshal(p.stdout.Bytes(), &shown))
	if len(shown.Backups) == 0 {
		t.Log("the backup is over, and its rate stays")
		return
	}
	run(t, command(t, "rate", "-h", s.socketDir, "-p", "5433", "-U", "postgres", "--backup="+shown.Backups[0].Backup, rate))
}

// moment is what was scraped at a time, and history all of it.
type (
	moment struct {
		at     time.Time
		values map[string]float64
	}
	history []moment
)

// panelQuery is a query of the dashboard: of the few forms that it has.
type panelQuery struct {
	scale   float64
	sum     bool
	rate    bool
	metric  selector
	divided *selector
}

// selector is a metric with the labels that it must have; that of the instance is left out.
type selector struct{ name, labels string }

var (
	selectorForm = `(\w+)\{instance=~"\$instance"(?:,([^}]*))?\}`
	queryForms   = regexp.MustCompile(`^(?:(\d+) \* )?(?:(sum|rate)\()?` + selectorForm + `(?:\[\$__rate_interval\])?\)?(?: / ` + selectorForm + `)?$`)
)

func parseQuery(expr string) (panelQuery, error) {
	m := queryForms.FindStringSubmatch(expr)
	if m == nil {
		return panelQuery{}, fmt.Errorf("query %s has a form that the test does not know", expr)
	}
	q := panelQuery{scale: 1, sum: m[2] == "sum", rate: m[2] == "rate", metric: selector{m[3], m[4]}}
	if m[1] != "" {
		fmt.Sscan(m[1], &q.scale)
	}
	if m[5] != "" {
		q.divided = &selector{m[5], m[6]}
	}
	return q, nil
}

// of are the values of the metric by their labels.
func (s selector) of(m moment) map[string]float64 {
	found := map[string]float64{}
	for series, value := range m.values {
		name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
		if name == s.name && strings.Contains(labels, s.labels) {
			found[labels] = value
		}
	}
	return found
}

// rateWindow is over how many samples a rate is taken.
const rateWindow = 4

// at is the answer at the i-th moment, by the labels.
func (q panelQuery) at(h history, i int) map[string]float64 {
	now, answer := q.metric.of(h[i]), map[string]float64{}
	switch {
	case q.sum:
		for _, value := range now {
			answer[""] += value
		}
	case q.rate:
		before := h[max(0, i-rateWindow)]
		for labels, was := range q.metric.of(before) {
			if seconds := h[i].at.Sub(before.at).Seconds(); seconds > 0 {
				answer[labels] = (now[labels] - was) / seconds
			}
		}
	case q.divided != nil:
		for labels, by := range q.divided.of(h[i]) {
			answer[labels] = q.scale * now[labels] / by
		}
	default:
		answer = now
	}
	return answer
}
