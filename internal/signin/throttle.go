package signin

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"certportal/internal/portal"
)

// attempt is a try that was counted, and under which keys.
type attempt struct {
	account string
	network []string // key of the address, if it counts
	budget  []string // keys of the account's budget
}

func (v attempt) keys() []string { return slices.Concat(v.network, v.budget) }

// begin counts a try before it is made: of the address, unless the client shows that it
// is known, and of one budget of the account. The directory is asked under a context of
// its own, which ends sooner.
func (s *Service) begin(ctx, asking context.Context, login string, by portal.Actor) (attempt, error) {
	v := attempt{}
	if _, known := s.KnownBrowser(by.Browser); !known && by.Session == ([32]byte{}) {
		if err := s.countAddress(ctx, &v, by); err != nil {
			return v, err
		}
	}
	canonical, err := s.c.Directory.Canonical(asking, truncate(login))
	if err != nil {
		return v, errors.Join(portal.AsOutage(portal.PartDirectory, "signing in", err), s.giveBack(ctx, v.keys()...))
	}
	v.account = canonical
	for _, b := range s.budgetsOf(canonical, by) {
		var refusal *portal.Refusal
		err = s.count(ctx, &v, b, by)
		if err == nil || b.last || !errors.As(err, &refusal) {
			break
		}
	}
	if err != nil {
		// No password was judged.
		return v, errors.Join(err, s.giveBack(ctx, v.keys()...))
	}
	return v, nil
}

// countAddress counts a try of the client's network. Tries come back one by one: a
// pause would be one for all who share the address.
func (s *Service) countAddress(ctx context.Context, v *attempt, by portal.Actor) error {
	network := networkKey(by.Address)
	if network == "" || len(v.network) > 0 {
		return nil
	}
	network = "sign-in from " + network
	limit := Limit{Tries: s.c.AddressTries, Window: s.c.Window, Leaking: true}
	if _, err := s.try(ctx, network, limit, s.c.Now(), portal.PausedAddress); err != nil {
		return err
	}
	v.network = []string{network}
	return nil
}

// count counts a try against one budget of the account, or against nothing when that
// is used up.
func (s *Service) count(ctx context.Context, v *attempt, b budget, by portal.Actor) error {
	if !b.open() {
		return &portal.Refusal{Reason: portal.PausedSignIn}
	}
	if b.network {
		if err := s.countAddress(ctx, v, by); err != nil {
			return err
		}
	}
	tries, err := s.c.Store.TryAll(ctx, b.counters, s.together(v.account), s.c.Now())
	if err != nil {
		return portal.AsOutage(portal.PartStore, "counting tries", err)
	}
	if !tries.Allowed {
		return &portal.Refusal{Reason: portal.PausedSignIn, Until: tries.Until}
	}
	for _, c := range b.counters {
		v.budget = append(v.budget, c.Key)
	}
	return nil
}

// wrong says that the password of a counted try was wrong. What is left to the client
// counts every budget that it may still use.
func (s *Service) wrong(ctx context.Context, v attempt, by portal.Actor) error {
	var choices [][]Counter
	for _, b := range s.budgetsOf(v.account, by) {
		if b.open() {
			choices = append(choices, b.counters)
		}
	}
	left, err := s.c.Store.TriesLeft(ctx, choices, s.together(v.account), s.c.Now(), MaxTriesCounted)
	if err != nil {
		return portal.AsOutage(portal.PartStore, "counting the tries that are left", err)
	}
	return &Wrong{Left: left, Pause: s.account.Load().pause}
}

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

// MaxTriesCounted is the highest number of tries left that [Wrong] states.
const MaxTriesCounted = 3

// BrowserCodes is how many codes that open nothing may come from the known browsers of
// one person in the window of sign-in tries, before their network counts.
const BrowserCodes = 10

// countSource counts a code of a client that is not signed in, of the known browsers
// of its person if it is one of them, else of its network.
func (s *Service) countSource(ctx context.Context, kind string, tries int, by portal.Actor) ([]string, error) {
	spread := Limit{Tries: tries, Window: s.c.Window, Leaking: true}
	if whose, ok := s.KnownBrowser(by.Browser); ok {
		key, own := kind+" of known browsers "+whose, spread
		own.Tries = BrowserCodes
		_, err := s.try(ctx, key, own, s.c.Now(), portal.PausedCodes)
		var refusal *portal.Refusal
		if !errors.As(err, &refusal) {
			return []string{key}, err
		}
	}
	network := networkKey(by.Address)
	if network == "" {
		return nil, nil
	}
	key := kind + " from " + network
	_, err := s.try(ctx, key, spread, s.c.Now(), portal.PausedCodes)
	return []string{key}, err
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

// forgive forgets the tries of the budget that a right password was counted against.
// Directories forget too. What strangers tried stays counted when the person signs in
// elsewhere.
func (s *Service) forgive(ctx context.Context, v attempt) error {
	if err := s.giveBack(ctx, v.network...); err != nil {
		return err
	}
	for _, key := range v.budget {
		if err := s.c.Store.Forgive(ctx, key); err != nil {
			return portal.AsOutage(portal.PartStore, "forgetting tries", err)
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
