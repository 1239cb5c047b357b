package signin

import (
	"certportal/internal/portal"
	"context"
	"errors"
	"net/netip"
	"time"
)

// StayBelow keeps the tries of an account below the number at which the directory
// itself locks it, counted over the directory's own window when that is longer
// (AD: lockoutThreshold, lockOutObservationWindow). A threshold of 0 means that the
// directory locks no account. It returns the tries that are allowed now; with a
// threshold of 1 that is one, which no limit can stay below.
func (s *Service) StayBelow(threshold int, window time.Duration) int {
	now := perAccount(s.c.Tries, s.c.Window)
	if threshold > 0 {
		now = perAccount(max(1, min(s.c.Tries, threshold-1)), max(s.c.Window, window))
	}
	s.account.Store(&now)
	return now.Tries
}

// perAccount uses a rolling window: in a fixed one, twice the tries fit around its end,
// and one now and then never ends.
func perAccount(tries int, window time.Duration) Limit {
	return Limit{Tries: tries, Window: window, Rolling: true}
}

// attempt is a try that was counted: under which keys, how many are left, and how
// long the pause after the last one is.
type attempt struct {
	address, account string
	left             int
	pause            time.Duration
}

// begin counts a try before it is made, of the network and of the account. The
// directory is asked under a context of its own, which ends sooner.
func (s *Service) begin(ctx, asking context.Context, login string, by portal.Actor) (attempt, error) {
	now := s.c.Now()
	v := attempt{address: networkKey(by.Address)}
	if v.address != "" {
		if _, err := s.try(ctx, v.address, Limit{Tries: s.c.AddressTries, Window: s.c.Window}, now, portal.PausedAddress); err != nil {
			return v, err
		}
	}
	canonical, err := s.c.Directory.Canonical(asking, truncate(login))
	if err != nil {
		return v, errors.Join(portal.AsOutage(portal.PartDirectory, "signing in", err), s.giveBack(ctx, v.address))
	}
	v.account = accountKey(canonical)
	allowed := *s.account.Load()
	tries, err := s.try(ctx, v.account, allowed, now, portal.PausedSignIn)
	if err != nil {
		// No password was judged.
		return v, errors.Join(err, s.giveBack(ctx, v.address))
	}
	v.left, v.pause = tries.Left, allowed.Window
	return v, nil
}

func accountKey(canonical string) string { return "sign-in " + canonical }

// AccountKey is the key of the wrong passwords of an account, for callers that show
// how long its pause lasts. It returns an *Outage when the directory does not
// answer.
func (s *Service) AccountKey(ctx context.Context, login string) (string, error) {
	asking, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	canonical, err := s.c.Directory.Canonical(asking, truncate(login))
	return accountKey(canonical), portal.AsOutage(portal.PartDirectory, "spelling a login name", err)
}

func (s *Service) try(ctx context.Context, key string, l Limit, now time.Time, paused portal.Reason) (Tries, error) {
	tries, err := s.c.Store.Try(ctx, key, l, now)
	if err != nil {
		return tries, portal.AsOutage(portal.PartStore, "counting tries", err)
	}
	if !tries.Allowed {
		return tries, &portal.Refusal{Reason: paused, Until: tries.Until}
	}
	return tries, nil
}

// giveBack takes back tries that were not wrong passwords, also when the client that
// tried has left: a browser breaks off the first of two taps.
func (s *Service) giveBack(ctx context.Context, keys ...string) error {
	ctx = context.WithoutCancel(ctx)
	for _, key := range keys {
		if key == "" {
			continue
		}
		if err := s.c.Store.GiveBack(ctx, key); err != nil {
			return portal.AsOutage(portal.PartStore, "giving back a try", err)
		}
	}
	return nil
}

// networkKey is what tries from an address count under: the address, or the /64
// of an IPv6 address, which is what one customer gets (RFC 6177).
func networkKey(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	network, _ := a.Prefix(bits) // fits the address by construction
	return "address " + network.String()
}
