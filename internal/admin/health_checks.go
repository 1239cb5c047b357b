package admin

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/portal"
)

// Alert is something that needs an administrator, as a key of the language catalogues
// ("admin.concern." + Key) with the values of its sentence.
type Alert struct {
	Key      string
	Critical bool      // people are affected, or will be soon
	At       time.Time // start or end; zero if the sentence names no time
	Value    string    // value in the sentence
	Number   int       // count in the sentence
	Path     string    // page to act on; empty for none
}

// Check tests a part of the installation. It changes nothing.
type Check struct {
	Name  string // stable key
	Group string // name that runs several checks together; optional
	Run   func(context.Context) []portal.Finding
}

// CheckResult is the result of the last run of a check; a zero At means that it never
// ran.
type CheckResult struct {
	Name     string
	Group    string
	At       time.Time
	Findings []portal.Finding
}

// State is the worst state of the findings.
func (r CheckResult) State() portal.FindingState {
	return portal.WorstFinding(r.Findings)
}

// Todos are the keys, after "admin.check.", of what is to do: each once, in the order of
// the findings.
func (r CheckResult) Todos() (keys []string) {
	for _, f := range r.Findings {
		if f.State != portal.FindingWarning && f.State != portal.FindingFailed {
			continue
		}
		key := strings.TrimSuffix(r.Name+".todo."+f.Todo, ".")
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// Late reports whether the check did not end in its time, and may still run.
func (r CheckResult) Late() bool {
	return slices.ContainsFunc(r.Findings, func(f portal.Finding) bool {
		return len(f.Said) == 1 && f.Said[0].Key == lateKey
	})
}

// Verdict sums the last results of all checks up.
type Verdict struct {
	At                    time.Time // of the oldest result; zero until every check has run
	Total, Failed, Warned int
}

// VerdictOf sums results up.
func VerdictOf(results []CheckResult) Verdict {
	v := Verdict{Total: len(results)}
	for i, r := range results {
		if i == 0 || r.At.Before(v.At) {
			v.At = r.At
		}
		switch r.State() {
		case portal.FindingFailed:
			v.Failed++
		case portal.FindingWarning:
			v.Warned++
		}
	}
	return v
}

// checkTimeout bounds one check, and checkGrace is how much longer one is waited for that
// ends with its context.
const (
	checkTimeout = 10 * time.Second
	checkGrace   = 2 * time.Second
)

// lateKey is the key of the sentence about a check that did not end.
const lateKey = "check-late"

// The checks run by themselves at this interval. The first run waits until a portal that
// was just started answers at its public addresses.
const (
	checkEvery = time.Hour
	checkFirst = 10 * time.Second
)

// Checks runs checks and keeps the last results of this replica. The zero value has no
// checks. It is safe for concurrent use once List is set.
type Checks struct {
	List  []Check
	Limit time.Duration // of one check; default 10 seconds

	mu    sync.Mutex
	last  map[string]CheckResult
	stuck map[string]bool // checks that did not end in their time and still run
}

// Checks lists the checks with their last results.
func (s *Service) Checks(ctx context.Context, by portal.Actor) ([]CheckResult, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadChecks}); err != nil {
		return nil, err
	}
	return s.checkResults(), nil
}

func (s *Service) checkResults() []CheckResult {
	c := s.c.Checks
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []CheckResult
	for _, check := range c.List {
		result := c.last[check.Name]
		result.Name, result.Group = check.Name, check.Group
		list = append(list, result)
	}
	return list
}

// RunChecks runs the check or the group with the name, or all checks if it is empty. It
// returns portal.ErrNotFound for an unknown name.
func (s *Service) RunChecks(ctx context.Context, by portal.Actor, name string) error {
	entry, err := s.authorize(ctx, by, authz.Request{Act: authz.RunChecks})
	if err != nil {
		return err
	}
	if s.c.Checks == nil {
		return portal.ErrNotFound
	}
	var wanted []Check
	for _, check := range s.c.Checks.List {
		if name == "" || name == check.Name || name == check.Group {
			wanted = append(wanted, check)
		}
	}
	if len(wanted) == 0 {
		return portal.ErrNotFound
	}
	entry.Action, entry.Object = audit.ChecksRun, name
	if err := s.c.Store.Note(ctx, entry); err != nil {
		return storeErr("recording checks", err)
	}
	s.runChecks(ctx, wanted)
	return nil
}

// RunHourly runs all checks at the start and then every hour, until the context ends. It
// records nothing in the audit log: no person asked for it.
func (s *Service) RunHourly(ctx context.Context) {
	if s.c.Checks == nil {
		return
	}
	wait := checkFirst
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		s.runChecks(ctx, s.c.Checks.List)
		wait = checkEvery
	}
}

func (s *Service) runChecks(ctx context.Context, checks []Check) {
	var running sync.WaitGroup
	for _, check := range checks {
		running.Go(func() { s.runCheck(ctx, check) })
	}
	running.Wait()
}

func (s *Service) runCheck(ctx context.Context, check Check) {
	c := s.c.Checks
	result := CheckResult{Name: check.Name, Group: check.Group, At: s.c.Now(), Findings: c.run(ctx, check)}
	if ctx.Err() != nil {
		return // the portal stops, or the browser is gone: what failed says nothing
	}
	c.mu.Lock()
	before := c.last[check.Name]
	if c.last == nil {
		c.last = map[string]CheckResult{}
	}
	c.last[check.Name] = result
	c.mu.Unlock()
	s.logCheck(ctx, before, result)
}

// Run runs all checks side by side and returns their results in the order of the list. It
// ends within two seconds after the limit.
func (c *Checks) Run(ctx context.Context, now func() time.Time) []CheckResult {
	results := make([]CheckResult, len(c.List))
	var running sync.WaitGroup
	for i, check := range c.List {
		running.Go(func() {
			results[i] = CheckResult{Name: check.Name, Group: check.Group, At: now(), Findings: c.run(ctx, check)}
		})
	}
	running.Wait()
	return results
}

// run runs a check, and reports as failed one that ignores the end of its context. Such a
// check is not started again while it still runs.
func (c *Checks) run(ctx context.Context, check Check) []portal.Finding {
	limit := cmp.Or(c.Limit, checkTimeout)
	late := []portal.Finding{portal.NewFinding(check.Name, portal.FindingFailed,
		portal.Say("check-late", "it did not end within %s: what it asks does not answer", limit+checkGrace))}
	c.mu.Lock()
	stuck := c.stuck[check.Name]
	c.mu.Unlock()
	if stuck {
		return late
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ended := make(chan []portal.Finding, 1)
	go func() {
		found := check.Run(bounded)
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.stuck, check.Name)
		ended <- found
	}()
	select {
	case found := <-ended:
		return found
	case <-bounded.Done():
	}
	grace := time.NewTimer(checkGrace)
	defer grace.Stop()
	select {
	case found := <-ended:
		return found
	case <-grace.C:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(ended) > 0 {
		return <-ended
	}
	if c.stuck == nil {
		c.stuck = map[string]bool{}
	}
	c.stuck[check.Name] = true
	return late
}

// logCheck logs a check whose state changed, so that a failure at night is in the log once.
func (s *Service) logCheck(ctx context.Context, before, now CheckResult) {
	state := now.State()
	if before.State() == state {
		return
	}
	level, text := slog.LevelInfo, ""
	for _, f := range now.Findings {
		if f.State == state && state != portal.FindingOK {
			text = f.What + ": " + f.Text
			break
		}
	}
	switch state {
	case portal.FindingFailed:
		level = slog.LevelError
	case portal.FindingWarning:
		level = slog.LevelWarn
	}
	s.c.Log.Log(ctx, level, "a check changed", "check", now.Name, "state", string(state), "text", text)
}
