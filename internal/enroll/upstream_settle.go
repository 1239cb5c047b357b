package enroll

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"certportal/ca"
	"certportal/ca/upstream"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

const (
	// upstreamStale is after what time a request that is being sent belongs to no process.
	upstreamStale = submitTimeout + recordTimeout + 20*time.Second

	// unknownLife is how long it is tried to find out what became of a request.
	unknownLife = 5 * time.Minute

	// The pauses between two polls of a request that waits for approval.
	firstPoll = 15 * time.Second
	maxPoll   = 10 * time.Minute

	// recordTimeout bounds the recording of an answer. It is no part of the time in which the
	// CA answers: what arrived at the last moment is recorded too.
	recordTimeout = 30 * time.Second

	// recordPause is between two tries to record a certificate that is there.
	recordPause = time.Second
)

// settle records what a CA answered to a request that was sent, at once or when it was
// polled. seal adds to the completion what is known only while the request runs; nil later.
//
// It goes on when the context ends, for a while: an answer that is not recorded is a
// certificate that no record knows.
func (r elsewhere) settle(ctx context.Context, u *Upstream, q UpstreamRequest, a upstream.Answer, err error, seal func(*Completion) error) settled {
	if a.ID != "" && a.ID != "0" {
		q.ID = a.ID
	}
	var denied *upstream.Denied
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	switch {
	case errors.As(err, &denied):
		return settled{err: r.end(ctx, q, UpstreamDenied, denied)}
	case err != nil:
		return settled{err: r.note(ctx, q, UpstreamUnknown, err.Error(), firstPoll)}
	case a.Pending():
		return settled{err: r.note(ctx, q, UpstreamPending, a.Text, max(a.RetryAfter, pollPause(q.Tries)))}
	}
	if err := r.compare(u, q, a.Certificate); err != nil {
		r.c.Log.Error("a CA issued another certificate than was asked for: it is not handed out, and will be revoked",
			"authority", u.Name, "request", q.Number.String(), "serial", fmt.Sprintf("%x", a.Certificate.SerialNumber), "err", err)
		return settled{err: r.stray(ctx, u, q, a.Certificate, UpstreamWrong, err)}
	}
	if q.Trial != "" {
		return settled{err: r.stray(ctx, u, q, a.Certificate, UpstreamEnded, errTrial)}
	}
	if seal == nil && !u.pollIssues() { // time has passed since the person was read
		if err := r.stillThePerson(ctx, q); refused(err) {
			return settled{err: r.stray(ctx, u, q, a.Certificate, UpstreamLate, err)}
		} else if err != nil {
			return settled{err: r.note(ctx, q, q.openState(), err.Error(), firstPoll)}
		}
	}
	return r.complete(ctx, u, q, a.Certificate, seal)
}

// stillThePerson reads the person again before a certificate is recorded that comes later:
// who may not have it any more, or is called otherwise, does not get it (attack A11).
func (r elsewhere) stillThePerson(ctx context.Context, q UpstreamRequest) error {
	if q.Ended {
		return nil // Complete says so
	}
	p, err := r.mayEnroll(ctx, q.Person)
	if err != nil {
		return err
	}
	if p.UPN != q.Subject.UPN || p.SID != q.Subject.SID {
		return &portal.Refusal{Reason: portal.BadIdentity, Value: "upn"}
	}
	return nil
}

// compare compares a certificate with what was asked for.
func (r elsewhere) compare(u *Upstream, q UpstreamRequest, cert *x509.Certificate) error {
	request, err := x509.ParseCertificateRequest(q.CSR)
	if err != nil {
		return fmt.Errorf("reading request %s: %w", q.Number, err)
	}
	want := ca.Foreign{
		Profile: r.c.Profile, Subject: q.Subject, Key: request.PublicKey, Requested: q.Sent, Policies: u.Policies,
		Anchors: u.Anchors, Intermediates: u.Intermediates, SIDByURI: u.SIDByURI,
	}
	return want.Check(cert, r.c.Now())
}

// complete records the certificate. While the records cannot be written it is tried
// again: the certificate exists.
func (r elsewhere) complete(ctx context.Context, u *Upstream, q UpstreamRequest, cert *x509.Certificate, seal func(*Completion) error) settled {
	serial, err := ca.SerialOf(cert.SerialNumber)
	if err != nil {
		return settled{err: &portal.Outage{Part: portal.PartIssuer, Err: err}}
	}
	now := r.c.Now()
	done := Completion{Number: q.Number, Serial: serial, Certificate: cert, At: now, Ends: q.Ends}
	done.Entry = portal.Actor{}.Entry(now, audit.CertificateIssued)
	if seal != nil {
		if err := seal(&done); err != nil {
			return settled{err: &portal.Outage{Part: portal.PartIssuer, Err: err}}
		}
	}
	done.Entry.Object, done.Entry.Person = serial.String(), string(q.Person)
	done.Entry.Detail = map[string]string{
		"not-after": cert.NotAfter.UTC().Format(time.RFC3339), "request": q.Number.String(), "authority": q.Authority,
	}
	if q.Overlap {
		done.Overlap = r.c.Overlap
	}
	for {
		err := r.c.Store.Complete(ctx, done)
		switch {
		case err == nil:
			if q.Overlap {
				r.c.Revoked()
			}
			return settled{cert: cert}
		case errors.Is(err, portal.ErrConflict):
			return settled{err: r.stray(ctx, u, q, cert, UpstreamLate, err)}
		}
		r.c.Log.Error("recording a certificate of another CA, which is tried again", "request", q.Number.String(), "serial", serial.String(), "err", err)
		select {
		case <-ctx.Done():
			return settled{err: portal.AsOutage(portal.PartStore, "completing certificate", err)}
		case <-time.After(recordPause):
		}
	}
}

// stray closes a request whose certificate is not handed out, and has it revoked if the CA
// made it for this request: it signed it, and it has the key. Another one may be in use
// elsewhere, and only administrators can say.
func (r elsewhere) stray(ctx context.Context, u *Upstream, q UpstreamRequest, cert *x509.Certificate, why string, cause error) error {
	q.State, q.Detail = UpstreamRefused, cause.Error()
	if why != UpstreamWrong {
		q.State = UpstreamTooLate
	}
	end := UpstreamEnd{Why: why}
	request, err := x509.ParseCertificateRequest(q.CSR)
	if err == nil && u.issued(cert) && bytes.Equal(request.RawSubjectPublicKeyInfo, cert.RawSubjectPublicKeyInfo) {
		end.Stray = cert
	}
	if err := r.close(ctx, q, end); err != nil {
		return err
	}
	return &portal.Outage{Part: portal.PartIssuer, Err: fmt.Errorf("%w: %w", errAsked, cause)}
}

// errAsked marks the outcome of a request that the CA did answer: it counts among those of
// the hour, so that a wrong template does not make certificates without end.
var errAsked = errors.New("the CA answered")

// end closes a request that led to no certificate, and gives the error for who asked.
func (r elsewhere) end(ctx context.Context, q UpstreamRequest, state UpstreamState, cause error) error {
	var denied *upstream.Denied
	errors.As(cause, &denied)
	q.State, q.Detail = state, cause.Error()
	if err := r.close(ctx, q, UpstreamEnd{DeniedAs: deniedAs(denied)}); err != nil {
		return err
	}
	if denied != nil && !denied.Credentials {
		return &portal.Refusal{Reason: portal.IssuerDenied}
	}
	return &portal.Outage{Part: portal.PartIssuer, Err: cause}
}

// close records the end of a request without a certificate.
func (r elsewhere) close(ctx context.Context, q UpstreamRequest, end UpstreamEnd) error {
	end.At = r.c.Now()
	end.Entry = portal.Actor{}.Entry(end.At, audit.UpstreamEnded)
	end.Entry.Person, end.Entry.Object = string(q.Person), q.Number.String()
	end.Entry.Detail = map[string]string{"authority": q.Authority, "state": string(q.State), "id": cut(q.ID), "text": cut(q.Detail)}
	if q.Trial != "" {
		end.Entry.Detail["test"] = string(q.Trial)
	}
	r.c.Log.Warn("request to another CA came to nothing", "authority", q.Authority, "request", q.Number.String(), "id", q.ID, "state", q.State, "err", q.Detail)
	return portal.AsOutage(portal.PartStore, "closing request to "+q.Authority, r.c.Store.EndUpstream(ctx, q, end))
}

// note records what is known of an open request, and says that it waits.
func (r elsewhere) note(ctx context.Context, q UpstreamRequest, state UpstreamState, text string, pause time.Duration) error {
	now := r.c.Now()
	var entry audit.Entry
	if q.State != state {
		entry = portal.Actor{}.Entry(now, audit.UpstreamWaits)
		entry.Person, entry.Object = string(q.Person), q.Number.String()
		entry.Detail = map[string]string{"authority": q.Authority, "state": string(state), "id": cut(q.ID), "text": cut(text)}
		r.c.Log.Info("request to another CA is open", "authority", q.Authority, "request", q.Number.String(), "id", q.ID, "state", state, "text", text)
	}
	q.State, q.Detail, q.Next, q.Tries = state, text, now.Add(pause), q.Tries+1
	if err := r.c.Store.NoteUpstream(ctx, q, entry); err != nil {
		return portal.AsOutage(portal.PartStore, "recording request to "+q.Authority, err)
	}
	return fmt.Errorf("request %s is %s: %w", q.Number, state, ErrWaiting)
}

// pollPause doubles with each poll.
func pollPause(tries int) time.Duration {
	return min(maxPoll, firstPoll<<min(tries, 10))
}

// maxDetail bounds the text of a CA in the audit log, in bytes.
const maxDetail = 500

func cut(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxDetail)], "") }
