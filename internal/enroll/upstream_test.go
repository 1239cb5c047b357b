package enroll_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/upstream"
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

// All that a CA returns and that was not asked for is refused and revoked, and not handed out.
func TestF14_UpstreamReturnsAnother(t *testing.T) {
	stranger := testkit.ECKey(t)
	for _, tt := range []struct {
		name    string
		alter   func(*x509.Certificate)
		revoked bool
	}{
		{"another key", func(c *x509.Certificate) { c.PublicKey = stranger.Public() }, true},
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
	const times = 100
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
			if got := testkit.Must(e.Collect(t.Context(), d, tt.wait, later))(t); got != tt.want {
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
		other := e.NewRegistrar(func(c *enroll.Config) { c.Node = "another" })
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
	if !testkit.Must(e.Collect(t.Context(), d, e.PickupKey, later))(t) {
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

// BenchmarkUpstream is what the portal adds to the time of another CA.
func BenchmarkUpstream(b *testing.B) {
	clock := testkit.NewRunningClock()
	company := fixture.NewUpstreamCA(b, clock.Now)
	var theirs time.Duration
	company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
		began := time.Now()
		cert := company.Issue(req.CSR)
		theirs += time.Since(began)
		return upstream.Answer{Certificate: cert}, nil
	}
	p := fixture.NewPortalAt(b, clock, fixture.SQLite(b), func(c *enroll.Config) { c.Quota, c.Upstream = 1_000_000, company.Upstream("company") })
	anna := p.Add("anna", fixture.SIDPrefix+"1101")
	for n := 0; b.Loop(); n++ {
		testkit.Must(p.Enroll(b.Context(), p.Request(anna, "Phone "+strconv.Itoa(n), "form "+strconv.Itoa(n))))(b)
	}
	b.ReportMetric(float64(theirs.Nanoseconds())/float64(b.N), "theirs-ns/op")
}
