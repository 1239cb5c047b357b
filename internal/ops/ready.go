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

// Check looks whether one thing is in order without which this server should get no
// requests.
type Check struct {
	Name string                      // stable, a label
	Look func(context.Context) error // nil when in order; must end with its context
}

// Result is how a check ended, as the JSON of /readyz says it.
type Result struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Text string `json:"text,omitempty"` // what is wrong
}

const (
	// lookTimeout bounds one look at everything. Balancers wait a few seconds.
	lookTimeout = 3 * time.Second

	// lookLife is how long what was seen is told again, so that whoever asks a thousand
	// times a second costs the database nothing.
	lookLife = time.Second
)

// readiness remembers for a moment what the checks found.
type readiness struct {
	checks []Check
	now    func() time.Time

	mu     sync.Mutex
	looked time.Time
	last   []Result
}

// look runs the checks, all at once, unless they ran a moment ago. Whoever asks
// meanwhile waits for the same answer.
func (s *readiness) look(ctx context.Context) []Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := s.now().Sub(s.looked); s.last != nil && age >= 0 && age < lookLife {
		return s.last
	}
	// Others read the answer too: it must not be that of one who hung up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	results := make([]Result, len(s.checks))
	var running sync.WaitGroup
	for i, c := range s.checks {
		running.Go(func() { results[i] = c.result(ctx) })
	}
	running.Wait()
	s.looked, s.last = s.now(), results
	return results
}

func (c Check) result(ctx context.Context) Result {
	if err := c.Look(ctx); err != nil {
		return Result{Name: c.Name, Text: strings.Join(strings.Fields(err.Error()), " ")}
	}
	return Result{Name: c.Name, OK: true}
}

// show is GET /readyz: 200, or 503 with a line for each check that is red; as JSON for
// who asks for it.
func (s *readiness) show(w http.ResponseWriter, r *http.Request) {
	results := s.look(r.Context())
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
	if err != nil { // of strings and truth values it does not happen
		status, body = http.StatusInternalServerError, nil
	}
	answer(w, status, "application/json", append(body, '\n'))
}
