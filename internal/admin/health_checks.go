package admin

import (
	"context"
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

// checkTimeout bounds one check.
const checkTimeout = 20 * time.Second

// Checks runs checks and keeps the last results of this replica. The zero value has no
// checks. It is safe for concurrent use once List is set.
type Checks struct {
	List []Check

	mu   sync.Mutex
	last map[string]CheckResult
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
	var running sync.WaitGroup
	for _, check := range wanted {
		running.Go(func() { s.runCheck(ctx, check) })
	}
	running.Wait()
	return nil
}

func (s *Service) runCheck(ctx context.Context, check Check) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	began := s.c.Now()
	result := CheckResult{Name: check.Name, At: began, Findings: check.Run(ctx)}
	c := s.c.Checks
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		c.last = map[string]CheckResult{}
	}
	c.last[check.Name] = result
}

// Staff lists the people and groups with a role beyond Employee, as far as the
// directory can list them.
type Staff struct {
	People []portal.Person // whose roles are stored in the portal
	Groups []StaffGroup    // directory groups that give a role
}

// StaffGroup is a directory group whose members have a role.
type StaffGroup struct {
	Role portal.Role
	Name string // as in the settings
}

// Staff lists who has which role.
func (s *Service) Staff(ctx context.Context, by portal.Actor) (Staff, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadRoles}); err != nil || s.c.Staff == nil {
		return Staff{}, err
	}
	staff, err := s.c.Staff(ctx)
	if err != nil {
		return staff, &portal.Outage{Part: portal.PartDirectory, Err: err}
	}
	return staff, nil
}
