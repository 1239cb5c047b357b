package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Check tests one condition for this server to get requests.
type Check struct {
	Name string                      // label of the metric; stable
	Look func(context.Context) error // returns nil when ready; must respect its context
}

// Result is the result of a check in the JSON of /readyz.
type Result struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Text string `json:"text,omitempty"` // the error
}

const (
	// checkTimeout limits one run of all checks. Load balancers wait a few seconds.
	checkTimeout = 3 * time.Second

	// resultAge is how long results are cached, so that frequent requests do not load the
	// database.
	resultAge = time.Second
)

// readiness runs the checks and caches their results for resultAge.
type readiness struct {
	checks   []Check
	stopping func() bool
	now      func() time.Time

	mu        sync.Mutex
	checkedAt time.Time
	last      []Result

	partMu sync.Mutex
	part   []*Result // of the run that is under way, or was last
}

// results runs the checks concurrently, or returns cached results. Concurrent callers wait
// for the same run.
func (s *readiness) results(ctx context.Context) []Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := s.now().Sub(s.checkedAt); s.last != nil && age >= 0 && age < resultAge {
		return s.last
	}
	// Other callers share the results, so a disconnected client must not cancel the run.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	all, part := make([]Result, len(s.checks)), make([]*Result, len(s.checks))
	s.partMu.Lock()
	s.part = part
	s.partMu.Unlock()
	var running sync.WaitGroup
	for i, c := range s.checks {
		running.Go(func() {
			all[i] = c.result(ctx)
			s.partMu.Lock()
			part[i] = &all[i]
			s.partMu.Unlock()
		})
	}
	running.Wait()
	s.checkedAt, s.last = s.now(), all
	return all
}

// soon gives the results that are there when the context ends; a check that did not answer
// by then is not in order.
func (s *readiness) soon(ctx context.Context) []Result {
	done := make(chan []Result, 1)
	go func() { done <- s.results(ctx) }()
	select {
	case all := <-done:
		return all
	case <-ctx.Done():
	}
	s.partMu.Lock()
	defer s.partMu.Unlock()
	all := make([]Result, len(s.checks))
	for i, c := range s.checks {
		all[i] = Result{Name: c.Name, Text: "no answer yet"}
		if i < len(s.part) && s.part[i] != nil {
			all[i] = *s.part[i]
		}
	}
	return all
}

func (c Check) result(ctx context.Context) Result {
	if err := c.Look(ctx); err != nil {
		return Result{Name: c.Name, Text: strings.Join(strings.Fields(err.Error()), " ")}
	}
	return Result{Name: c.Name, OK: true}
}

// show serves GET /readyz: 200, or 503 with a line for each failed check; as JSON when the
// client accepts it.
func (s *readiness) show(w http.ResponseWriter, r *http.Request) {
	var results []Result
	if s.stopping() { // at once, without cached results and without the database
		results = []Result{{Name: "stopping", Text: "this server stops"}}
	} else {
		results = s.results(r.Context())
	}
	status, text := http.StatusOK, &strings.Builder{}
	for _, result := range results {
		if !result.OK {
			status = http.StatusServiceUnavailable
			fmt.Fprintf(text, "%s: %s\n", result.Name, result.Text)
		}
	}
	w.Header().Set("Vary", "Accept")
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		s.showJSON(w, status, results)
		return
	}
	if status == http.StatusOK {
		text.WriteString("ready\n")
	}
	answer(w, status, "text/plain; charset=utf-8", []byte(text.String()))
}

func (s *readiness) showJSON(w http.ResponseWriter, status int, results []Result) {
	body, err := json.Marshal(struct {
		Ready  bool     `json:"ready"`
		Checks []Result `json:"checks"`
	}{status == http.StatusOK, results})
	if err != nil { // cannot happen with strings and booleans
		status, body = http.StatusInternalServerError, nil
	}
	answer(w, status, "application/json", append(body, '\n'))
}
