package enroll_test

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// lateReplica is a second portal that does not know the CA which issues until it reads again.
type lateReplica struct {
	*enroll.Registrar
	p         *testPortal
	reads     int
	knows     bool  // after a read
	unread    error // of a read
	certified *x509.Certificate
	held      *x509.Certificate // by a device with a key of its own
	token     enroll.Token
}

func newLateReplica(t *testing.T) *lateReplica {
	p := keyPortal(t)
	e := p.enroll("phone", "1")
	_, held := p.scepDevice("tablet")
	l := &lateReplica{p: p, held: held, token: p.token(e), certified: p.read(e).Leaf}
	l.Registrar = p.NewRegistrar(func(c *enroll.Config) {
		chain := c.Chain
		c.Chain = func(leaf *x509.Certificate) []*x509.Certificate {
			if l.reads == 0 || !l.knows {
				return nil
			}
			return chain(leaf)
		}
		c.AuthorityChanged = func(context.Context) error { l.reads++; return l.unread }
	})
	return l
}

// What another replica issued by the next CA is delivered, renewed and called good by one that
// did not read that CA yet.
func TestReplicaReadsTheNextCAWhenItMeetsIt(t *testing.T) {
	for name, use := range map[string]func(*lateReplica) error{
		"file": func(l *lateReplica) error {
			f, err := l.OpenFile(t.Context(), l.token)
			if err == nil && len(f.Chain) == 0 {
				err = errors.New("a file without its chain")
			}
			return err
		},
		"renewal": func(l *lateReplica) error {
			l.p.Clock.Set(l.held.NotAfter.Add(-day))
			_, err := l.Renew(t.Context(), portal.Actor{}, l.held, testkit.ECKey(t).Public())
			return err
		},
		"verdict": func(l *lateReplica) error {
			s, err := l.Examine(t.Context(), l.certified, portal.Actor{})
			if err == nil && s.Verdict != portal.VerdictWorks {
				err = errors.New("verdict " + string(s.Verdict))
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLateReplica(t)
			l.knows = true
			testkit.NoError(t, use(l))
			testkit.Equal(t, "reads", l.reads, 1)

			l = newLateReplica(t) // whose files are missing on its machine
			if err := use(l); err == nil {
				t.Error("a certificate of an unknown CA is good")
			}
			l.unread = errors.New("the folder is away")
			if err := use(l); !isOutage(err, portal.PartStore) {
				t.Errorf("got %v, want an outage while the CAs cannot be read", err)
			}
		})
	}
}

// The reason names what an operator looks at: nothing here is damaged.
func TestFileOfACAThatIsNotHere(t *testing.T) {
	_, err := newLateReplica(t).OpenFile(t.Context(), newLateReplica(t).token)
	if !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("a token of another portal: got %v", err)
	}
	l := newLateReplica(t)
	if _, err := l.OpenFile(t.Context(), l.token); err == nil || !strings.Contains(err.Error(), "ca show") {
		t.Errorf("got %v", err)
	}
}

func isOutage(err error, of portal.Part) bool {
	var outage *portal.Outage
	return errors.As(err, &outage) && outage.Part == of
}

// Strangers cannot make a portal read its CAs: what is not recorded is refused before.
func TestForeignCertificateReadsNothing(t *testing.T) {
	l := newLateReplica(t)
	foreign := fixture.NewHierarchy(t, "ec-p256", testkit.Noon).Issuing
	s := testkit.Must(l.Examine(t.Context(), foreign, portal.Actor{}))(t)
	testkit.Equal(t, "verdict", s.Verdict, portal.VerdictForeign)
	if _, err := l.Renew(t.Context(), portal.Actor{}, foreign, testkit.ECKey(t).Public()); err == nil {
		t.Error("renewed")
	}
	testkit.Equal(t, "reads", l.reads, 0)
}
