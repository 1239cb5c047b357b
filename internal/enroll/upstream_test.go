package enroll_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/upstream"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// elsewhere is a portal whose certificates a CA issues that it does not run.
type elsewhere struct {
	*testPortal
	company *fixture.UpstreamCA
}

func newElsewhere(t *testing.T, address string) *elsewhere {
	t.Helper()
	clock := testkit.NewClock()
	company := fixture.NewUpstreamCA(t, clock.Now)
	p := fixture.NewPortalAt(t, clock, address, func(c *enroll.Config) {
		c.Quota, c.Upstream = 2, company.Upstream("company")
	})
	e := &elsewhere{testPortal: &testPortal{Portal: p, anna: p.Add("anna", fixture.SIDPrefix+"1101")}, company: company}
	t.Cleanup(func() { e.DrainUpstream(context.WithoutCancel(t.Context())) })
	return e
}

func (e *elsewhere) sweep() {
	e.T.Helper()
	testkit.NoError(e.T, e.Sweep(e.T.Context(), e.Stale()))
	testkit.NoError(e.T, e.SweepUpstream(e.T.Context()))
}

// working lists the certificates that the portal believes to work.
func (e *elsewhere) working() []portal.Device {
	e.T.Helper()
	devices := testkit.Must(e.Devices(e.T.Context(), e.anna.ID))(e.T)
	return slices.DeleteFunc(devices, func(d portal.Device) bool { return !d.Working(e.Clock.Now()) })
}

func TestUpstreamIssues(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		e := newElsewhere(t, address)
		done := e.enroll("Anna's phone", "form")
		live := e.company.Live()
		if len(live) != 1 || done.Serial.Big().Cmp(live[0].SerialNumber) != 0 {
			t.Fatalf("serial %s, issued %d certificates", done.Serial, len(live))
		}
		if d := e.device(done.Device); d.Certificate.Serial != done.Serial || !d.Certificate.NotAfter.Equal(live[0].NotAfter) || !d.Working(e.Clock.Now()) {
			t.Errorf("device has %+v", d.Certificate)
		}
		file := testkit.Must(e.OpenFile(t.Context(), e.token(done)))(t)
		if key, ok := file.Key.Public().(interface{ Equal(any) bool }); ok && key.Equal(live[0].PublicKey) {
			t.Error("file has another key")
		}
		if again := testkit.Must(e.Enroll(t.Context(), e.request("Anna's phone", "form")))(t); again.Serial != done.Serial || e.company.Submits() != 1 {
			t.Errorf("the form again led to %s after %d requests", again.Serial, e.company.Submits())
		}
		e.sweep()
		if len(e.working()) != 1 {
			t.Error("the sweep ended the certificate")
		}
	})
}

// The renewal overlaps, and the older certificate is revoked by its CA at the end.
func TestUpstreamRenewsAndRevokes(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		e := newElsewhere(t, address)
		first := e.enroll("Phone", "one")
		e.Clock.Advance(320 * 24 * time.Hour)
		request := e.request("Phone", "two")
		request.Device, request.Renew = first.Device, true
		second := testkit.Must(e.Enroll(t.Context(), request))(t)
		if len(e.company.Live()) != 2 {
			t.Fatalf("%d certificates work at the CA during the overlap", len(e.company.Live()))
		}
		testkit.NoError(t, e.Block(t.Context(), e.actor(), enroll.Block{Person: e.anna.ID, Device: first.Device, Cause: portal.Lost}))
		e.sweep()
		if left := e.company.Live(); len(left) != 0 {
			t.Errorf("%d certificates of the blocked device work at the CA", len(left))
		}
		if got := e.company.Revoked()[second.Serial.Big().String()]; got != 1 {
			t.Errorf("reason %d, want keyCompromise", got)
		}
	})
}

// All that a CA returns and that was not asked for is refused, and revoked if it has the key
// of the request: another one may be a stranger's.
func TestF14_UpstreamReturnsAnother(t *testing.T) {
	stranger := testkit.ECKey(t)
	for _, tt := range []struct {
		name    string
		alter   func(*x509.Certificate)
		revoked bool
	}{
		{"another key", func(c *x509.Certificate) { c.PublicKey = stranger.Public() }, false},
		{"a policy that may be linked to a group", func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 32}, Value: []byte{0x30, 0x06, 0x30, 0x04, 0x06, 0x02, 0x2a, 0x03}})
		}, true},
		{"no UPN", func(c *x509.Certificate) { drop(c, "2.5.29.17") }, true},
		{"no SID", func(c *x509.Certificate) { drop(c, "1.3.6.1.4.1.311.25.2") }, true},
		{"no usages", func(c *x509.Certificate) { drop(c, "2.5.29.37") }, true},
		{"a CA", func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, true},
		{"ten years", func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(9, 0, 0) }, true},
		{"an hour", func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Hour) }, true},
		{"nothing of the request", func(c *x509.Certificate) { c.PublicKey, c.ExtraExtensions = stranger.Public(), nil }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newElsewhere(t, fixture.SQLite(t))
			e.company.Alter = tt.alter
			_, err := e.Enroll(t.Context(), e.request("Phone", "form"))
			var outage *portal.Outage
			if !errors.As(err, &outage) || outage.Part != portal.PartIssuer {
				t.Fatalf("error is %v, want an outage of the issuer", err)
			}
			e.sweep()
			if n := len(e.working()); n != 0 {
				t.Errorf("%d certificates work", n)
			}
			if got := len(e.company.Live()) == 0; got != tt.revoked {
				t.Errorf("revoked at the CA: %v, want %v", got, tt.revoked)
			}
			e.company.Alter = nil
			if testkit.Must(e.Enroll(t.Context(), e.request("Phone", "form")))(t); len(e.working()) != 1 {
				t.Error("the same form does not work afterwards")
			}
		})
	}
}

func drop(c *x509.Certificate, id string) {
	c.ExtraExtensions = slices.DeleteFunc(c.ExtraExtensions, func(e pkix.Extension) bool { return e.Id.String() == id })
}

// A CA that answers with the certificate of another request does not end that one.
func TestF14_UpstreamReturnsTheSameTwice(t *testing.T) {
	e := newElsewhere(t, fixture.SQLite(t))
	first := e.enroll("Phone", "one")
	e.company.OnSubmit = func(context.Context, int, upstream.Request) (upstream.Answer, error) {
		return upstream.Answer{Certificate: e.company.Live()[0]}, nil
	}
	if _, err := e.Enroll(t.Context(), e.request("Tablet", "two")); err == nil {
		t.Fatal("another device got the certificate of the first")
	}
	e.sweep()
	if len(e.company.Live()) != 1 || !e.device(first.Device).Working(e.Clock.Now()) {
		t.Error("the certificate of the first device was revoked")
	}
}

var errCut = errors.New("the connection was cut")

// A request is sent once, at each point where it may be cut off, and ends as one certificate or
// as none that a person has the key of.
func TestF13_UpstreamIsCutOff(t *testing.T) {
	times := testkit.Times(t, 20) // 100 in long tests
	issue := func(e *elsewhere, req upstream.Request) upstream.Answer {
		return upstream.Answer{ID: "7", Certificate: e.company.Issue(req.CSR)}
	}
	for _, tt := range []struct {
		name     string
		submit   func(*elsewhere, upstream.Request) (upstream.Answer, error)
		poll     func(*elsewhere) (upstream.Answer, error)
		issued   bool // in the end
		strayed  bool // the CA has a certificate that the portal does not
		attempts int  // of polls and waits
	}{
		{"before it is sent", func(*elsewhere, upstream.Request) (upstream.Answer, error) {
			return upstream.Answer{}, fmt.Errorf("%w: %w", upstream.ErrUnsent, errCut)
		}, nil, false, false, 0},
		{"while it is sent", func(*elsewhere, upstream.Request) (upstream.Answer, error) { return upstream.Answer{}, errCut }, nil, false, false, 30},
		{"before the answer", func(e *elsewhere, req upstream.Request) (upstream.Answer, error) {
			issue(e, req)
			return upstream.Answer{}, errCut
		}, nil, false, true, 30},
		{"after half of the answer, which has the number", func(e *elsewhere, req upstream.Request) (upstream.Answer, error) {
			issue(e, req)
			return upstream.Answer{ID: "7"}, errCut
		}, func(e *elsewhere) (upstream.Answer, error) {
			return upstream.Answer{ID: "0", Certificate: e.company.Live()[0]}, nil
		}, true, false, 3},
		{"while it waits", func(*elsewhere, upstream.Request) (upstream.Answer, error) { return upstream.Answer{ID: "7"}, nil },
			func(e *elsewhere) (upstream.Answer, error) { return upstream.Answer{}, errCut }, false, false, 3},
		{"never, and denied", func(*elsewhere, upstream.Request) (upstream.Answer, error) {
			return upstream.Answer{}, &upstream.Denied{ID: "7", Code: "0x80094012"}
		}, nil, false, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for n := range times {
				if n > 2 && testing.Short() {
					break
				}
				e := newElsewhere(t, fixture.SQLite(t))
				e.company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
					return tt.submit(e, req)
				}
				if tt.poll != nil {
					e.company.OnPoll = func(context.Context, int, string) (upstream.Answer, error) { return tt.poll(e) }
				}
				_, err := e.Enroll(t.Context(), e.request("Phone "+strconv.Itoa(n), "form"))
				if _, isOutage := errors.AsType[*portal.Outage](err); err != nil && !isOutage && !refusedFor(err, portal.IssuerDenied) {
					t.Fatalf("error is %v", err)
				}
				for range tt.attempts {
					e.Clock.Advance(30 * time.Second)
					e.sweep()
				}
				if got := len(e.working()) == 1; got != tt.issued {
					t.Fatalf("a certificate works: %v, want %v", got, tt.issued)
				}
				if live := len(e.company.Live()); (live == 1) != (tt.issued || tt.strayed) || e.company.Submits() != 1 {
					t.Fatalf("%d certificates after %d requests", live, e.company.Submits())
				}
			}
		})
	}
}

func refusedFor(err error, reason portal.Reason) bool {
	refusal, ok := errors.AsType[*portal.Refusal](err)
	return ok && refusal.Reason == reason
}

// All that was approved since is fetched when it is due, however many there are.
func TestUpstreamApprovesMany(t *testing.T) {
	e := newElsewhere(t, fixture.SQLite(t))
	asked := map[string]upstream.Request{}
	e.company.OnSubmit = func(_ context.Context, n int, req upstream.Request) (upstream.Answer, error) {
		asked[strconv.Itoa(n)] = req
		return upstream.Answer{ID: strconv.Itoa(n)}, nil
	}
	e.company.OnPoll = func(_ context.Context, _ int, id string) (upstream.Answer, error) {
		return upstream.Answer{ID: id, Certificate: e.company.Issue(asked[id].CSR)}, nil
	}
	const many = 40 // more than a replica takes at once
	for n := range many {
		person := e.Add("person"+strconv.Itoa(n), fixture.SIDPrefix+strconv.Itoa(2000+n))
		testkit.Must(e.Enroll(t.Context(), e.Request(person, "Phone", "form")))(t)
	}
	e.Clock.Advance(time.Minute)
	e.sweep()
	if got := len(e.company.Live()); got != many {
		t.Errorf("%d of %d certificates were fetched", got, many)
	}
}

// A certificate that is approved later is fetched with a new pickup, by the browser that
// asked, and by no other.
func TestUpstreamApprovesLater(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		e := newElsewhere(t, address)
		var waiting upstream.Request
		e.company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
			waiting = req
			return upstream.Answer{ID: "39", Text: "Taken Under Submission"}, nil
		}
		approved := false
		e.company.OnPoll = func(_ context.Context, _ int, id string) (upstream.Answer, error) {
			if id != "39" {
				return upstream.Answer{}, &upstream.Denied{Code: "404"}
			}
			if !approved {
				return upstream.Answer{ID: id}, nil
			}
			return upstream.Answer{ID: "0", Certificate: e.company.Issue(waiting.CSR)}, nil
		}
		request := e.request("Phone", "form")
		request.WaitKey = enroll.PickupKey{9}
		done := testkit.Must(e.Enroll(t.Context(), request))(t)
		if d := e.device(done.Device); d.Certificate.Status != portal.Pending {
			t.Fatalf("status %s, want pending", d.Certificate.Status)
		}
		for range 20 {
			e.Clock.Advance(30 * time.Minute)
			e.sweep()
		}
		if d := e.device(done.Device); d.Certificate.Status != portal.Pending {
			t.Fatalf("status %s after ten hours, want pending", d.Certificate.Status)
		}
		approved = true
		e.Clock.Advance(time.Hour)
		e.sweep()
		d := e.device(done.Device)
		later := enroll.PickupKey{4, 4}
		for _, tt := range []struct {
			name string
			wait enroll.PickupKey
			want bool
		}{{"another browser", enroll.PickupKey{8}, false}, {"the same", request.WaitKey, true}, {"again", request.WaitKey, false}} {
			if got := testkit.Must(e.Collect(t.Context(), e.actor(), d, tt.wait, later))(t); got != tt.want {
				t.Errorf("%s: collected %v, want %v", tt.name, got, tt.want)
			}
		}
		file := testkit.Must(e.OpenFile(t.Context(), later.Token(d.Certificate.Serial)))(t)
		if !file.Leaf.Equal(e.company.Live()[0]) {
			t.Error("the file has another certificate")
		}
	})
}

// A certificate that is not fetched ends, at the CA too.
func TestUpstreamKeyWaitsInVain(t *testing.T) {
	e := newElsewhere(t, fixture.SQLite(t))
	e.company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
		e.company.Issue(req.CSR)
		return upstream.Answer{ID: "1"}, nil
	}
	e.company.OnPoll = func(context.Context, int, string) (upstream.Answer, error) {
		return upstream.Answer{Certificate: e.company.Live()[0]}, nil
	}
	testkit.Must(e.Enroll(t.Context(), e.request("Phone", "form")))(t)
	e.Clock.Advance(time.Hour)
	e.sweep()
	if len(e.working()) != 1 {
		t.Fatal("it was not issued")
	}
	e.Clock.Advance(15 * 24 * time.Hour)
	e.sweep()
	e.sweep()
	if len(e.working()) != 0 || len(e.company.Live()) != 0 {
		t.Errorf("%d work here, %d at the CA", len(e.working()), len(e.company.Live()))
	}
}

// A device that was removed while its certificate was waited for gets none.
func TestUpstreamComesTooLate(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		e := newElsewhere(t, address)
		var waiting upstream.Request
		e.company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
			waiting = req
			return upstream.Answer{ID: "1"}, nil
		}
		e.company.OnPoll = func(context.Context, int, string) (upstream.Answer, error) {
			return upstream.Answer{Certificate: e.company.Issue(waiting.CSR)}, nil
		}
		done := testkit.Must(e.Enroll(t.Context(), e.request("Phone", "form")))(t)
		testkit.NoError(t, e.Remove(t.Context(), e.actor(), done.Device))
		e.Clock.Advance(time.Hour)
		e.sweep()
		e.sweep()
		if len(e.company.Live()) != 0 || len(e.company.Revoked()) != 1 || len(e.working()) != 0 {
			t.Errorf("%d work at the CA, %d here", len(e.company.Live()), len(e.working()))
		}
	})
}

// A CA that does not answer is asked again to revoke, one that cannot is not, and the first
// never stops the others.
func TestUpstreamRevocationIsTriedAgain(t *testing.T) {
	e := newElsewhere(t, fixture.SQLite(t))
	tries := 0
	e.company.OnRevoke = func() error {
		if tries++; tries < 4 {
			return errCut
		}
		return nil
	}
	done := e.enroll("Phone", "form")
	testkit.NoError(t, e.Remove(t.Context(), e.actor(), done.Device))
	for range 3 {
		e.sweep()
		if len(e.company.Live()) != 1 {
			t.Fatal("revoked already")
		}
		e.Clock.Advance(time.Hour)
	}
	e.sweep()
	if len(e.company.Live()) != 0 || tries != 4 {
		t.Errorf("%d work after %d tries", len(e.company.Live()), tries)
	}
	e.company.OnRevoke = func() error { tries++; return upstream.ErrUnsupported }
	done = e.enroll("Phone", "another")
	testkit.NoError(t, e.Remove(t.Context(), e.actor(), done.Device))
	for range 3 {
		e.sweep()
		e.Clock.Advance(time.Hour)
	}
	if tries != 5 {
		t.Errorf("asked %d times, want once more", tries)
	}
}

// A process that stops while a request is sent leaves it to the others.
func TestF13_UpstreamSenderDies(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		e := newElsewhere(t, address)
		sent, stop := make(chan struct{}), make(chan struct{})
		e.company.OnSubmit = func(context.Context, int, upstream.Request) (upstream.Answer, error) {
			close(sent)
			<-stop
			return upstream.Answer{}, errCut
		}
		answered := make(chan error, 1)
		go func() {
			_, err := e.Enroll(t.Context(), e.request("Phone", "form"))
			answered <- err
		}()
		<-sent
		other := e.NewRegistrar(func(*enroll.Config) {})
		for range 20 {
			e.Clock.Advance(time.Minute)
			testkit.NoError(t, other.SweepUpstream(t.Context()))
		}
		close(stop)
		<-answered
		if e.company.Submits() != 1 || len(e.working()) != 0 {
			t.Errorf("%d requests, %d certificates", e.company.Submits(), len(e.working()))
		}
		e.company.OnSubmit = nil
		e.enroll("Phone", "form again")
	})
}

// A key that a device made is not sent to another CA, which might take the names beside it.
func TestA1_UpstreamGetsNoRequestOfADevice(t *testing.T) {
	e := newElsewhere(t, fixture.SQLite(t))
	key := testkit.ECKey(t)
	_, err := e.EnrollKey(t.Context(), e.request("Laptop", "form"), key.Public())
	if denial, ok := errors.AsType[*portal.Denial](err); !ok || denial.Why != portal.KeyRefused || e.company.Submits() != 0 {
		t.Errorf("error is %v after %d requests", err, e.company.Submits())
	}
}

// The portal's own CA goes on beside another one, and back.
func TestUpstreamAndOwnCASideBySide(t *testing.T) {
	e := newElsewhere(t, fixture.SQLite(t))
	theirs := e.enroll("Phone", "one")
	back := e.NewRegistrar(func(c *enroll.Config) { c.Upstreams, c.Upstream = []*enroll.Upstream{c.Upstream}, nil })
	ours := testkit.Must(back.Enroll(t.Context(), e.request("Tablet", "two")))(t)
	for _, tt := range []struct {
		done enroll.Enrolment
		want *x509.Certificate
	}{{theirs, nil}, {ours, e.Hierarchy.Issuing}} {
		file := testkit.Must(back.OpenFile(t.Context(), e.token(tt.done)))(t)
		if got := slices.ContainsFunc(file.Chain, func(c *x509.Certificate) bool { return c.Equal(e.Hierarchy.Issuing) }); got != (tt.want != nil) {
			t.Errorf("chain of %s has the own issuing CA: %v", file.Leaf.Subject, got)
		}
		testkit.NoError(t, back.Remove(t.Context(), e.actor(), tt.done.Device))
	}
	testkit.NoError(t, back.SweepUpstream(t.Context()))
	if len(e.company.Live()) != 0 {
		t.Error("the certificate of the other CA still works")
	}
	if status := testkit.Must(e.DB.Status(t.Context(), theirs.Serial))(t); status.Issuer == ca.FirstAuthority {
		t.Error("the own CA answers for a certificate of the other one")
	}
}

// A CA that can be asked gives the certificate whose answer was lost, and not that of another
// request of the person.
func TestF13_UpstreamFindsALostAnswer(t *testing.T) {
	e := newElsewhere(t, fixture.SQLite(t))
	e.company.Finds = true
	e.enroll("Tablet", "one")
	e.company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
		e.company.Issue(req.CSR)
		return upstream.Answer{}, errCut
	}
	done := testkit.Must(e.Enroll(t.Context(), e.request("Phone", "two")))(t)
	e.Clock.Advance(time.Minute)
	e.sweep()
	d := e.device(done.Device)
	if !d.Working(e.Clock.Now()) || len(e.company.Live()) != 2 || e.company.Submits() != 2 {
		t.Fatalf("state %s, %d certificates after %d requests", d.Certificate.Status, len(e.company.Live()), e.company.Submits())
	}
	later := enroll.PickupKey{7}
	if !testkit.Must(e.Collect(t.Context(), e.actor(), d, e.PickupKey, later))(t) {
		t.Error("its file cannot be collected")
	}
}

// What administrators must look at is counted, and how a CA answered is on the page of the
// certificate.
func TestUpstreamTrouble(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		e := newElsewhere(t, address)
		e.company.Alter = func(c *x509.Certificate) { drop(c, "2.5.29.17") }
		if _, err := e.Enroll(t.Context(), e.request("Refused", "one")); err == nil {
			t.Fatal("a certificate without UPN was issued")
		}
		e.company.Alter = nil
		e.company.OnSubmit = func(context.Context, int, upstream.Request) (upstream.Answer, error) {
			return upstream.Answer{}, errCut
		}
		testkit.Must(e.Enroll(t.Context(), e.request("Unknown", "two")))(t)
		trouble := testkit.Must(e.DB.UpstreamTrouble(t.Context(), e.Clock.Now()))(t)
		if trouble.Refused != 1 || trouble.Unknown != 1 || trouble.Lost != 0 || trouble.Unrevoked != 0 {
			t.Errorf("at first %+v", trouble)
		}
		e.company.OnSubmit = nil
		done := e.enroll("Works", "three")
		e.company.OnRevoke = func() error { return errCut }
		testkit.NoError(t, e.Remove(t.Context(), e.actor(), done.Device))
		for range 30 {
			e.Clock.Advance(time.Minute)
			e.sweep()
		}
		trouble = testkit.Must(e.DB.UpstreamTrouble(t.Context(), e.Clock.Now()))(t)
		if trouble.Unknown != 0 || trouble.Lost != 1 || trouble.Unrevoked != 2 || trouble.UnrevokedSince.IsZero() {
			t.Errorf("after half an hour %+v", trouble)
		}
		detail := testkit.Must(e.DB.CertificateDetail(t.Context(), done.Serial, e.Clock.Now()))(t)
		if !detail.Elsewhere || !detail.Confirmed.IsZero() || detail.Tries < 3 || detail.Obstacle != errCut.Error() {
			t.Errorf("detail %+v", detail)
		}
		e.company.OnRevoke = nil
		e.Clock.Advance(time.Hour)
		e.sweep()
		detail = testkit.Must(e.DB.CertificateDetail(t.Context(), done.Serial, e.Clock.Now()))(t)
		if detail.Confirmed.IsZero() || detail.Obstacle != "" {
			t.Errorf("after the answer %+v", detail)
		}
	})
}

// waits asks for a certificate that waits for approval, and gives what approves it.
func (e *elsewhere) waits(name string) (done enroll.Enrolment, approve func()) {
	e.T.Helper()
	var asked upstream.Request
	approved := false
	e.company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
		asked = req
		return upstream.Answer{ID: "7"}, nil
	}
	e.company.OnPoll = func(_ context.Context, _ int, id string) (upstream.Answer, error) {
		if !approved {
			return upstream.Answer{ID: id}, nil
		}
		return upstream.Answer{Certificate: e.company.Issue(asked.CSR)}, nil
	}
	done = testkit.Must(e.Enroll(e.T.Context(), e.request(name, "form of "+name)))(e.T)
	return done, func() {
		approved = true
		e.Clock.Advance(time.Hour)
		e.sweep()
	}
}

// A bulk revocation that holds a request does not hinder its certificate, and then ends it.
func TestF13_UpstreamInABulkRevocation(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		e := newElsewhere(t, address)
		done, approve := e.waits("Phone")
		number := e.device(done.Device).Certificate.Serial
		now := e.Clock.Now()
		entry := func(action audit.Action) audit.Entry {
			return audit.Entry{At: now, Action: action, Actor: "ada", Role: "admin"}
		}
		order := admin.BulkRevocation{ID: "bulk1", State: admin.Gathering, Maker: "ada", Made: now, Expires: now.Add(24 * time.Hour)}
		testkit.NoError(t, e.DB.AddBulk(t.Context(), order, entry(audit.BulkMade)))
		testkit.NoError(t, e.DB.AddBulkItems(t.Context(), order.ID, admin.Cursor{}, []ca.Serial{number}, admin.Cursor{}))
		approve()
		d := e.device(done.Device)
		if !d.Working(e.Clock.Now()) || d.Certificate.Serial == number {
			t.Fatalf("the certificate is %s", d.Certificate.Status)
		}
		testkit.NoError(t, e.DB.TransitionBulk(t.Context(), admin.BulkTransition{
			ID: order.ID, From: admin.Draft, To: admin.Running, At: now, Entry: entry(audit.BulkConfirmed),
			Grounds: admin.Grounds{Cause: portal.Withdrawn, Comment: "trial"},
		}))
		ended, _, err := e.DB.RevokeBulkItems(t.Context(), order.ID, 10, e.Clock.Now())
		testkit.NoError(t, err)
		e.sweep()
		if ended != 1 || len(e.working()) != 0 || len(e.company.Live()) != 0 {
			t.Errorf("%d ended, %d work here, %d at the CA", ended, len(e.working()), len(e.company.Live()))
		}
	})
}

// A revocation that lists a certificate by the number of its request ends it after it got its
// serial, too.
func TestF13_UpstreamRevokedByItsNumber(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		e := newElsewhere(t, address)
		done, approve := e.waits("Phone")
		number := e.device(done.Device).Certificate.Serial
		approve()
		ended := testkit.Must(e.DB.Revoke(t.Context(), enroll.Revocation{
			Serials: []ca.Serial{number}, Cause: portal.Left, At: e.Clock.Now(), EndPerson: e.anna.ID, Entry: e.actor().Entry(e.Clock.Now(), audit.CertificateRevoked),
		}))(t)
		e.sweep()
		if len(ended) != 1 || len(e.working()) != 0 || len(e.company.Live()) != 0 {
			t.Errorf("ended %v, %d work here, %d at the CA", ended, len(e.working()), len(e.company.Live()))
		}
	})
}

// A device that is closed gets no file, whether its certificate came before or comes after.
func TestA16_UpstreamKeyOfAClosedDevice(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		for _, before := range []bool{true, false} {
			if !before {
				address = fixture.SQLite(t)
			}
			e := newElsewhere(t, address)
			done, approve := e.waits("Phone")
			closeIt := func() {
				_, err := e.DB.Revoke(t.Context(), enroll.Revocation{
					Cause: portal.Lost, At: e.Clock.Now(), BlockDevice: done.Device, CloseOnly: true,
					Entry: e.actor().Entry(e.Clock.Now(), audit.CertificateRevoked),
				})
				testkit.NoError(t, err)
			}
			if before {
				approve()
				closeIt()
			} else {
				closeIt()
				approve()
				e.sweep()
			}
			if testkit.Must(e.Collect(t.Context(), e.actor(), e.device(done.Device), e.PickupKey, enroll.PickupKey{5}))(t) {
				t.Errorf("issued before the block %v: the file can be collected", before)
			}
			if _, err := e.DB.WaitingKey(t.Context(), e.device(done.Device).Certificate.Serial); !errors.Is(err, portal.ErrNotFound) {
				t.Errorf("issued before the block %v: the key is there: %v", before, err)
			}
			if !before && len(e.company.Live()) != 0 {
				t.Error("what came after the block works at the CA")
			}
		}
	})
}

// Who became protected, or is switched off, while the request waited gets nothing.
func TestA11_UpstreamReadsThePersonAgain(t *testing.T) {
	e := newElsewhere(t, fixture.SQLite(t))
	_, approve := e.waits("Phone")
	testkit.NoError(t, e.DB.ChangeAccount(t.Context(), e.anna.ID, func(a *portal.Account) error { a.Disabled = true; return nil },
		audit.Entry{At: e.Clock.Now(), Action: audit.AccountDisabled, Actor: "test"}))
	approve()
	e.sweep()
	if len(e.working()) != 0 || len(e.company.Live()) != 0 {
		t.Errorf("%d work here, %d at the CA", len(e.working()), len(e.company.Live()))
	}
}

// While issuing is halted no request is polled and no file is given; what waits is done later.
func TestUpstreamWaitsWhileIssuingIsHalted(t *testing.T) {
	e := newElsewhere(t, fixture.SQLite(t))
	done, approve := e.waits("Phone")
	testkit.Must(e.DB.SetHalt(t.Context(), admin.Halt{Reason: "trial", Actor: "ada", Since: e.Clock.Now()}, audit.Entry{At: e.Clock.Now(), Action: audit.IssuingHalted, Actor: "ada"}))(t)
	approve()
	if n := len(e.company.Live()); n != 0 {
		t.Fatalf("%d issued while halted", n)
	}
	testkit.Must(e.DB.SetHalt(t.Context(), admin.Halt{}, audit.Entry{At: e.Clock.Now(), Action: audit.IssuingResumed, Actor: "ada"}))(t)
	approve()
	if !e.device(done.Device).Working(e.Clock.Now()) {
		t.Error("nothing came after the halt")
	}
}

// A CA that hangs holds up neither revocations nor another CA.
func TestF13_UpstreamThatHangsHoldsUpNothing(t *testing.T) {
	e := newElsewhere(t, fixture.SQLite(t))
	first := e.enroll("Phone", "one")
	_, _ = e.waits("Tablet")
	hangs, stop := make(chan struct{}, 1), make(chan struct{})
	e.company.OnPoll = func(ctx context.Context, _ int, _ string) (upstream.Answer, error) {
		hangs <- struct{}{}
		<-stop
		return upstream.Answer{}, errCut
	}
	e.Clock.Advance(time.Hour)
	testkit.NoError(t, e.Remove(t.Context(), e.actor(), first.Device))
	ctx, end := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { e.RunUpstreams(ctx) })
	<-hangs
	testkit.Eventually(t, "the other certificate is revoked", func() bool { return len(e.company.Live()) == 0 })
	close(stop)
	end()
	running.Wait()
}

// A CA that answers slowly takes no place of those who wait for a key: in flight there are as
// many as it may be asked.
func TestL9_ASlowUpstreamTakesNoPlace(t *testing.T) {
	e := newElsewhere(t, fixture.SQLite(t))
	keys := enroll.NewKeyPool(ca.ECP256, 0, slog.New(slog.DiscardHandler)).Limit(1)
	r := e.NewRegistrar(func(c *enroll.Config) { c.Keys = keys })
	ben := e.Add("ben", fixture.SIDPrefix+"1102")
	sent, answer := make(chan struct{}, 2), make(chan struct{})
	e.company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
		sent <- struct{}{}
		<-answer
		return upstream.Answer{Certificate: e.company.Issue(req.CSR)}, nil
	}
	var waiting sync.WaitGroup
	for _, person := range []portal.Person{e.anna, ben} {
		request := e.Request(person, "Phone", "form of "+person.Login)
		waiting.Go(func() {
			if _, err := r.Enroll(t.Context(), request); err != nil {
				t.Errorf("%s: %v", person.ID, err)
			}
		})
		<-sent
		testkit.Equal(t, "in progress", keys.Load().InProgress, 0)
	}
	close(answer)
	waiting.Wait()
	r.DrainUpstream(t.Context())
	testkit.Equal(t, "certificates", len(e.company.Live()), 2)
	testkit.Equal(t, "load", keys.Load(), enroll.Load{Limit: 1})
}

// A replica that has other settings leaves requests to CAs that it does not know.
func TestUpstreamOfAnotherReplica(t *testing.T) {
	e := newElsewhere(t, fixture.SQLite(t))
	done, approve := e.waits("Phone")
	other := fixture.NewUpstreamCA(t, e.Clock.Now).Upstream("other")
	replica := e.NewRegistrar(func(c *enroll.Config) { c.Upstream = other })
	for range 10 {
		e.Clock.Advance(10 * time.Minute)
		testkit.NoError(t, replica.SweepUpstream(t.Context()))
	}
	approve()
	if !e.device(done.Device).Working(e.Clock.Now()) {
		t.Error("the request was closed by a replica that does not know its CA")
	}
}

// What a CA answers at the last moment is recorded, and a certificate that comes after its
// request was closed is revoked.
func TestF13_UpstreamAnswersLate(t *testing.T) {
	e := newElsewhere(t, fixture.SQLite(t))
	sent, answer := make(chan struct{}), make(chan struct{})
	e.company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
		close(sent)
		<-answer
		return upstream.Answer{Certificate: e.company.Issue(req.CSR)}, nil
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = e.Enroll(t.Context(), e.request("Phone", "form"))
	}()
	<-sent
	replica := e.NewRegistrar(func(*enroll.Config) {})
	for range 20 {
		e.Clock.Advance(time.Minute)
		testkit.NoError(t, replica.SweepUpstream(t.Context()))
	}
	close(answer)
	<-over
	e.DrainUpstream(t.Context())
	e.sweep()
	if len(e.working()) != 0 || len(e.company.Live()) != 0 || len(e.company.Revoked()) != 1 {
		t.Errorf("%d work here, %d at the CA, %d revoked", len(e.working()), len(e.company.Live()), len(e.company.Revoked()))
	}
}

// A CA that answers wrongly does not make certificates without end.
func TestA17_UpstreamWrongAnswersCount(t *testing.T) {
	e := newElsewhere(t, fixture.SQLite(t))
	limited := e.NewRegistrar(func(c *enroll.Config) { c.PerHour = 3 })
	e.company.Alter = func(c *x509.Certificate) { drop(c, "2.5.29.17") }
	for n := range 20 {
		if _, err := limited.Enroll(t.Context(), e.request("Phone", "form "+strconv.Itoa(n))); err == nil {
			t.Fatal("a certificate without UPN was issued")
		}
	}
	if n := e.company.Submits(); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}

// A restored copy gives no key away and forgets no block of another CA's certificate.
func TestF15_UpstreamAfterARestore(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		e := newElsewhere(t, address)
		done := e.enroll("Phone", "one")
		_, approve := e.waits("Tablet")
		testkit.NoError(t, e.Remove(t.Context(), e.actor(), done.Device))
		records, _, err := e.DB.Records(t.Context(), 0, 1000)
		testkit.NoError(t, err)
		revoked := slices.IndexFunc(records, func(r crl.Record) bool { return r.Serial == done.Serial && !r.Revoked.IsZero() })
		if revoked < 0 || records[revoked].Issuer != enroll.UpstreamPrefix+"company" {
			t.Fatalf("the journal does not get the revocation: %+v", records)
		}
		// The same records in a database that has none of it.
		fresh := fixture.NewPortalAt(t, e.Clock, fixture.SQLite(t))
		testkit.Must(fresh.DB.Replay(t.Context(), records, e.Clock.Now()))(t)
		testkit.NoError(t, e.DB.EndRestored(t.Context(), e.Clock.Now()))
		approve()
		testkit.Must(e.DB.SetHalt(t.Context(), admin.Halt{}, audit.Entry{At: e.Clock.Now(), Action: audit.IssuingResumed, Actor: "ada"}))(t)
		approve()
		for _, d := range testkit.Must(e.Devices(t.Context(), e.anna.ID))(t) {
			if testkit.Must(e.Collect(t.Context(), e.actor(), d, e.PickupKey, enroll.PickupKey{6}))(t) {
				t.Errorf("the key of %s outlived the restore", d.Name)
			}
		}
	})
}

// Where a poll makes the certificate, one whose answer was lost is not repeated, and a
// request that was ended is not polled.
func TestF13_UpstreamIssuesByPoll(t *testing.T) {
	for _, ended := range []bool{false, true} {
		e := newElsewhere(t, fixture.SQLite(t))
		e.company.PollIssues = true
		var asked upstream.Request
		e.company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
			asked = req
			return upstream.Answer{ID: "pkcs10:AA"}, nil
		}
		e.company.OnPoll = func(context.Context, int, string) (upstream.Answer, error) {
			e.company.Issue(asked.CSR)
			return upstream.Answer{}, errCut
		}
		done := testkit.Must(e.Enroll(t.Context(), e.request("Phone", "form")))(t)
		if ended {
			testkit.NoError(t, e.Remove(t.Context(), e.actor(), done.Device))
		}
		for range 20 {
			e.Clock.Advance(10 * time.Minute)
			e.sweep()
		}
		want := 1
		if ended {
			want = 0
		}
		if got := len(e.company.Live()); got != want || len(e.working()) != 0 {
			t.Errorf("ended %v: %d issued by polls, want %d; %d work here", ended, got, want, len(e.working()))
		}
	}
}

// While the directory does not answer nothing comes of an approved request, and when it
// answers again there is one certificate.
func TestF13_UpstreamWhileTheDirectoryIsSilent(t *testing.T) {
	for _, byPoll := range []bool{false, true} {
		e := newElsewhere(t, fixture.SQLite(t))
		e.company.PollIssues = byPoll
		var asked upstream.Request
		var made *x509.Certificate
		e.company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
			asked = req
			return upstream.Answer{ID: "7"}, nil
		}
		e.company.OnPoll = func(context.Context, int, string) (upstream.Answer, error) {
			if made == nil || byPoll {
				made = e.company.Issue(asked.CSR)
			}
			return upstream.Answer{Certificate: made}, nil
		}
		testkit.Must(e.Enroll(t.Context(), e.request("Phone", "form")))(t)
		silent := e.NewRegistrar(func(c *enroll.Config) { c.Directory = changed{Directory: c.Directory, err: errCut} })
		for range 5 {
			e.Clock.Advance(time.Hour)
			testkit.NoError(t, silent.SweepUpstream(t.Context()))
		}
		if n := len(e.working()); n != 0 {
			t.Errorf("made by polls %v: %d work without the directory", byPoll, n)
		}
		e.Clock.Advance(time.Hour)
		e.sweep()
		if len(e.working()) != 1 || len(e.company.Live()) != 1 {
			t.Errorf("made by polls %v: %d work here, %d at the CA", byPoll, len(e.working()), len(e.company.Live()))
		}
	}
}
