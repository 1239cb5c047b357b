package crl_test

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/internal/test/testkit"
)

func TestFirstListsAreSigned(t *testing.T) {
	o := newFixture(t)
	o.refresh()
	for name, signer := range map[string]*x509.Certificate{"root": o.hierarchy.Root, "issuing": o.hierarchy.Issuing} {
		_, parsed := o.list(name)
		if err := parsed.CheckSignatureFrom(signer); err != nil {
			t.Errorf("list of %s: %v", name, err)
		}
		if len(parsed.RevokedCertificateEntries) != 0 {
			t.Errorf("list of %s holds %d entries, want 0", name, len(parsed.RevokedCertificateEntries))
		}
	}
	if _, ok := o.CRL("nobody"); ok {
		t.Error("there is a list of an unknown issuer")
	}
}

func TestRevocationShowsInTheNextList(t *testing.T) {
	o := newFixture(t)
	o.refresh()
	before, _ := o.list("issuing")
	o.pass(time.Minute)
	serial := o.revokeNew()
	o.refresh()
	after, parsed := o.list("issuing")
	if after.Number <= before.Number {
		t.Errorf("number %d after %d, want it greater", after.Number, before.Number)
	}
	if len(parsed.RevokedCertificateEntries) != 1 || parsed.RevokedCertificateEntries[0].SerialNumber.Cmp(serial.Big()) != 0 {
		t.Errorf("entries %v, want %s", parsed.RevokedCertificateEntries, serial)
	}
	o.refresh()
	if again, _ := o.list("issuing"); again.Number != after.Number {
		t.Errorf("number %d with nothing new, want %d", again.Number, after.Number)
	}
}

func TestListsAreRenewedByTheClock(t *testing.T) {
	o := newFixture(t)
	o.refresh()
	first, _ := o.list("issuing")
	root, _ := o.list("root")
	o.pass(crl.DefaultRenew)
	o.refresh()
	second, _ := o.list("issuing")
	if second.Number <= first.Number || !second.NextUpdate.After(first.NextUpdate) {
		t.Errorf("list %d until %s, want it after %d until %s", second.Number, second.NextUpdate, first.Number, first.NextUpdate)
	}
	if same, _ := o.list("root"); same.Number != root.Number {
		t.Errorf("the root's list was made anew after an hour")
	}
}

func TestRootKeyInTheSafe(t *testing.T) {
	o := newFixture(t)
	o.refresh()
	before, _ := o.list("root")
	o.rootGone = true
	o.pass(crl.RootRenew + time.Hour)
	o.refresh()
	if after, _ := o.list("root"); after.Number != before.Number {
		t.Errorf("number %d without the key, want %d", after.Number, before.Number)
	}
}

// If there is an older list, the start must not wait for a new one, and must not return an
// error when it cannot be made.
func TestListsOutliveTheProcess(t *testing.T) {
	o := newFixture(t)
	o.refresh()
	before, _ := o.list("issuing")
	o.revokeNew()
	o.pass(crl.DefaultLife)
	o.change = func(c *crl.Config) {
		c.Authorities[1].Issuer = func() (*ca.Issuer, error) { return nil, ca.ErrPassphrase }
	}
	o.Publisher = o.replica()
	if err := o.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, _ := o.list("issuing"); after.Number != before.Number {
		t.Errorf("list %d after a restart, want %d", after.Number, before.Number)
	}
	if err := o.Refresh(t.Context()); !errors.Is(err, ca.ErrPassphrase) {
		t.Errorf("Refresh: %v, want it to name the passphrase", err)
	}
	if h := o.Health()[1]; h.Trouble == "" || !h.Since.Equal(o.clock()) || !h.Waiting || h.Level != crl.Ended {
		t.Errorf("health %+v, want trouble, a revocation that waits and a list that ended", h)
	}
}

// An error of one issuer does not stop another.
func TestOneIssuersTroubleStopsNoOther(t *testing.T) {
	o := newFixture(t, func(c *crl.Config) {
		c.Authorities[0].Issuer = func() (*ca.Issuer, error) { return nil, ca.ErrPassphrase }
	})
	if err := o.Refresh(t.Context()); !errors.Is(err, ca.ErrPassphrase) {
		t.Errorf("Refresh: %v, want it to name the passphrase", err)
	}
	o.list("issuing")
	if log := o.log.taken(); strings.Count(log, "level=ERROR") != 1 {
		t.Errorf("log %q, want one complaint", log)
	}
	o.pass(time.Second)
	_ = o.Refresh(t.Context())
	if log := o.log.taken(); log != "" {
		t.Errorf("log %q, want it said once", log)
	}
}

// An entry stays in the list for one life of a list after its certificate expired, and no
// longer.
func TestEntriesStayOneLifeBeyondTheCertificate(t *testing.T) {
	o := newFixture(t)
	serial := o.revokeNew()
	for _, tt := range []struct {
		name  string
		after time.Duration
		want  bool
	}{
		{"at its end", 90 * 24 * time.Hour, true},
		{"a second before a life later", crl.DefaultLife - time.Second, true},
		{"then", time.Second, false},
	} {
		o.pass(tt.after)
		if _, err := o.PublishNow(t.Context(), "issuing"); err != nil {
			t.Fatal(err)
		}
		if got := o.names("issuing", serial); got != tt.want {
			t.Errorf("%s: listed %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestListsAreRenewedBeforeHalfOfTheirLife(t *testing.T) {
	o := newFixture(t, func(c *crl.Config) { c.Authorities[1].Renew = 71 * time.Hour })
	o.refresh()
	first, _ := o.list("issuing")
	if next, want := o.Health()[1].Next, noon.Add(36*time.Hour); !next.Equal(want) {
		t.Errorf("next at %s, want %s", next, want)
	}
	o.pass(36 * time.Hour)
	o.refresh()
	if second, _ := o.list("issuing"); second.Number <= first.Number {
		t.Errorf("number %d at half of the life, want it above %d", second.Number, first.Number)
	}
}

// A list of another replica is taken over, and not made again.
func TestReplicasShareTheirLists(t *testing.T) {
	o := newFixture(t)
	o.refresh()
	other := o.replica()
	if err := other.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	serial := o.revokeNew()
	if err := other.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	theirs, _ := other.CRL("issuing")
	o.refresh()
	if ours, _ := o.list("issuing"); ours.Number != theirs.Number || !o.names("issuing", serial) {
		t.Errorf("number %d, want %d of the other replica with the revocation", ours.Number, theirs.Number)
	}
}

// A builder waits while another holds the lease, and takes over when that one is dead.
func TestF9_ADeadBuilderIsFollowed(t *testing.T) {
	o := newFixture(t)
	o.refresh()
	before, _ := o.list("issuing")
	lease, err := o.db.AcquireLease(t.Context(), "issuing", "another", o.clock(), 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	o.revokeNew()
	o.refresh()
	if now, _ := o.list("issuing"); now.Number != before.Number {
		t.Errorf("number %d in another's lease, want %d", now.Number, before.Number)
	}
	o.pass(30 * time.Second)
	o.refresh()
	after, _ := o.list("issuing")
	if after.Number <= lease.Number {
		t.Errorf("number %d, want it above that of the dead builder, %d", after.Number, lease.Number)
	}
	late := before
	late.Number, late.Published = lease.Number, o.clock()
	if err := o.db.Publish(t.Context(), lease, late); !errors.Is(err, crl.ErrOvertaken) {
		t.Errorf("the dead builder publishes: %v, want ErrOvertaken", err)
	}
}

func TestPublishNow(t *testing.T) {
	o := newFixture(t)
	o.refresh()
	before, _ := o.list("issuing")
	o.pass(time.Second)
	made, err := o.PublishNow(t.Context(), "issuing")
	if err != nil {
		t.Fatal(err)
	}
	if after, _ := o.list("issuing"); made.Number <= before.Number || after.Number != made.Number {
		t.Errorf("made %d after %d, in force %d", made.Number, before.Number, after.Number)
	}
	o.rootGone = true
	if _, err := o.PublishNow(t.Context(), "root"); !errors.Is(err, ca.ErrNoRootKey) {
		t.Errorf("without the root's key: %v, want ErrNoRootKey", err)
	}
	if _, err := o.PublishNow(t.Context(), "nobody"); err == nil {
		t.Error("a list of an unknown issuer was published")
	}
}

// PublishNow waits until the lease of a dead builder ends, but not for ever.
func TestF9_PublishNowOutlastsADeadBuilder(t *testing.T) {
	for _, tt := range []struct {
		name     string
		patience time.Duration
		want     error
	}{
		{"without patience", time.Nanosecond, crl.ErrBusy},
		{"with patience", crl.PatienceWithTheDead, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newFixture(t, func(c *crl.Config) {
				now, reads := c.Now, 0
				c.Now = func() time.Time { reads++; return now().Add(time.Duration(reads) * 10 * time.Second) }
				c.Patience = tt.patience
			})
			lease, err := o.db.AcquireLease(t.Context(), "issuing", "another", noon, 30*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			list, err := o.PublishNow(t.Context(), "issuing")
			if !errors.Is(err, tt.want) || err == nil && list.Number <= lease.Number {
				t.Errorf("list %d after %d: %v, want %v", list.Number, lease.Number, err, tt.want)
			}
		})
	}
}

// The replica whose clock is a second behind publishes too, with a thisUpdate that is not
// before that of the last list.
func TestClocksOfReplicasDiffer(t *testing.T) {
	o := newFixture(t)
	o.refresh()
	before, _ := o.list("issuing")
	o.pass(-2 * time.Second)
	serial := o.revokeNew()
	o.refresh()
	after, _ := o.list("issuing")
	if !o.names("issuing", serial) || after.ThisUpdate.Before(before.ThisUpdate) {
		t.Errorf("thisUpdate %s after %s, want the revocation listed and no step back", after.ThisUpdate, before.ThisUpdate)
	}
}

// From the end of a CA on no list of it is made, and none is missed. Until then its lists
// are as short-lived as before, also when nothing but revocations is left to it.
func TestNoListAfterTheEndOfTheCA(t *testing.T) {
	o := newFixture(t)
	o.refresh()
	end := o.clock().AddDate(0, 0, 30)
	err := o.Add(crl.Authority{Name: "issuing", Life: crl.DefaultLife, Renew: crl.DefaultRenew, Issuer: o.issuing, Until: end})
	if err != nil {
		t.Fatal(err)
	}
	o.pass(29 * 24 * time.Hour)
	o.refresh()
	last, _ := o.list("issuing")
	if life := last.NextUpdate.Sub(o.clock()); life > crl.DefaultLife {
		t.Errorf("a list near the end lives for %s", life)
	}
	o.pass(100 * 24 * time.Hour)
	o.refresh()
	if held, _ := o.list("issuing"); held.Number != last.Number {
		t.Errorf("list %d after the end of the CA", held.Number)
	}
	for _, h := range o.Health() {
		if h.Issuer == "issuing" {
			t.Errorf("its last list is watched: %s", h.Level)
		}
	}
}

// An authority that is added while the publisher runs gets its list, and the others keep
// theirs.
func TestAuthorityIsAddedWhileItRuns(t *testing.T) {
	o := newFixture(t)
	o.refresh()
	first, _ := o.list("issuing")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { o.Run(ctx); close(ended) }()
	for range 3 { // also in place of itself
		err := o.Add(crl.Authority{Name: "issuing-2", Life: crl.DefaultLife, Renew: crl.DefaultRenew, Issuer: o.issuing})
		if err != nil {
			t.Fatal(err)
		}
		o.Nudge()
	}
	testkit.Eventually(t, "the list of the added authority", func() bool { _, ok := o.CRL("issuing-2"); return ok })
	stop()
	<-ended
	if held, _ := o.list("issuing"); held.Number != first.Number {
		t.Errorf("list %d of the other authority, want %d", held.Number, first.Number)
	}
	if err := o.Add(crl.Authority{Name: "issuing-3", Life: time.Hour, Renew: 2 * time.Hour, Issuer: o.issuing}); err == nil {
		t.Error("an authority whose list is renewed after its end was added")
	}
}
