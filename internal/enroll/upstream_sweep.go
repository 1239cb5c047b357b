package enroll

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"certportal/ca/upstream"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

const (
	// upstreamBatch is how many requests one replica takes at once, and works at side by
	// side.
	upstreamBatch = 16

	// upstreamBatches is how many of them it takes one after the other: 10,000 requests
	// that wait are polled every ten minutes.
	upstreamBatches = 8

	// upstreamHold is how long it holds them: the longest call and what follows.
	upstreamHold = 3 * time.Minute

	// upstreamEvery is how often it is looked what is due.
	upstreamEvery = 5 * time.Second

	// revokePause is between two tries to revoke at a CA; it doubles up to maxRevokePause.
	revokePause    = 10 * time.Second
	maxRevokePause = 30 * time.Minute
)

// RunUpstreams polls requests to other CAs that are due, closes those whose outcome cannot
// be found out, carries out revocations there and looks at the lists of these CAs, until the
// context ends. Each CA has its own clocks, one for each of these: one that hangs holds up no
// other. It may run on several replicas at once.
func (r *Registrar) RunUpstreams(ctx context.Context) {
	var clocks sync.WaitGroup
	for name := range r.upstreams {
		for what, sweep := range map[string]func(context.Context, string) error{
			"requests": elsewhere{r}.sweepRequests, "revocations": elsewhere{r}.sweepRevocations, "lists": elsewhere{r}.sweepLists,
		} {
			clocks.Go(func() {
				ticker := time.NewTicker(upstreamEvery)
				defer ticker.Stop()
				for {
					select {
					case <-ctx.Done():
						return
					case <-ticker.C:
					}
					if r.c.Clock.Fault() != nil {
						continue // logged by the clock
					}
					if err := sweep(ctx, name); err != nil && ctx.Err() == nil {
						r.c.Log.Error("following another CA", "authority", name, "what", what, "err", err)
					}
				}
			})
		}
	}
	clocks.Wait()
}

// SweepUpstream does once what RunUpstreams does, for all CAs one after the other.
func (r *Registrar) SweepUpstream(ctx context.Context) error {
	e, errs := elsewhere{r}, []error(nil)
	for name := range r.upstreams {
		errs = append(errs, e.sweepRequests(ctx, name), e.sweepRevocations(ctx, name), e.sweepLists(ctx, name))
	}
	return errors.Join(errs...)
}

// sweepRequests does what is due for the requests to one CA, a few batches of them.
func (r elsewhere) sweepRequests(ctx context.Context, authority string) error {
	for range upstreamBatches {
		now := r.c.Now()
		due, err := r.c.Store.DueUpstream(ctx, authority, now, now.Add(upstreamHold), upstreamBatch)
		if err != nil {
			return portal.AsOutage(portal.PartStore, "listing requests to other CAs", err)
		}
		inParallel(due, func(q UpstreamRequest) {
			if err := r.follow(ctx, q); err != nil && !errors.Is(err, ErrWaiting) {
				r.c.Log.Info("request to another CA", "request", q.Number.String(), "authority", q.Authority, "outcome", err)
			}
		})
		if len(due) < upstreamBatch {
			break
		}
	}
	return nil
}

// inParallel does each of few things in a goroutine of its own.
func inParallel[T any](all []T, do func(T)) {
	var wait sync.WaitGroup
	for _, one := range all {
		wait.Go(func() { do(one) })
	}
	wait.Wait()
}

// follow does what is due for one request.
func (r elsewhere) follow(ctx context.Context, q UpstreamRequest) error {
	if q.State == UpstreamIssued {
		// Its key waited in vain.
		_, err := r.revoke(ctx, portal.Actor{}, portal.Undelivered, "", q.Serial)
		return err
	}
	u, known := r.upstreams[q.Authority]
	if !known {
		return nil // of another replica's settings
	}
	call, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	ended := q.Ended && q.Trial == "" // a test ends before it is sent, and what comes of it is revoked
	if q.ID != "" && !(u.pollIssues() && (ended || q.State == UpstreamUnknown)) {
		return r.poll(ctx, call, u, q)
	}
	cert, err := r.find(call, u, q)
	switch {
	case cert != nil:
		return r.settle(ctx, u, q, upstream.Answer{Certificate: cert}, nil, nil).err
	case err != nil: // the CA could not be asked
		return r.note(ctx, q, UpstreamUnknown, err.Error(), pollPause(q.Tries))
	case r.c.Now().Sub(q.Sent) < unknownLife && !ended:
		return r.note(ctx, q, UpstreamUnknown, q.Detail, firstPoll)
	}
	return r.end(ctx, q, UpstreamLost, fmt.Errorf("it is unknown what became of it: %s; its key is destroyed, "+
		"look at the CA for a certificate with the key of the request and revoke it there", q.Detail))
}

// poll asks what became of a request that has a number. Where the poll can make the
// certificate, the person is read before it: a certificate that could not be recorded then
// must not be asked for again. Of a test none is handed out.
func (r elsewhere) poll(ctx, call context.Context, u *Upstream, q UpstreamRequest) error {
	if u.pollIssues() && q.Trial == "" {
		if err := r.stillThePerson(call, q); refused(err) {
			return r.end(ctx, q, UpstreamLost, fmt.Errorf("it was given up before it was approved: %w", err))
		} else if err != nil {
			return r.note(ctx, q, q.openState(), err.Error(), firstPoll)
		}
	}
	answer, err := u.CA.Poll(call, q.ID)
	var denied *upstream.Denied
	if err == nil || errors.As(err, &denied) && !denied.Credentials {
		return r.settle(ctx, u, q, answer, err, nil).err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	state := q.openState()
	if u.pollIssues() && !errors.Is(err, upstream.ErrUnsent) && denied == nil {
		state = UpstreamUnknown // the answer that was lost may have been the certificate
	}
	return r.note(ctx, q, state, err.Error(), pollPause(q.Tries))
}

// pollIssues reports whether a poll can make the certificate, so that one whose answer was
// lost must not be repeated.
func (u *Upstream) pollIssues() bool {
	of, ok := u.CA.(upstream.IssuesByPoll)
	return ok && of.IssuesByPoll()
}

// find looks for the certificate of a request whose answer was lost, at a CA that can be
// asked; nil when there is none so far. An error says that it may be asked again.
func (r elsewhere) find(ctx context.Context, u *Upstream, q UpstreamRequest) (*x509.Certificate, error) {
	finder, ok := u.CA.(upstream.Finder)
	if !ok {
		return nil, nil
	}
	request, err := x509.ParseCertificateRequest(q.CSR)
	if err != nil {
		return nil, nil
	}
	found, err := finder.Find(ctx, upstream.Request{Number: q.Number.String(), CSR: q.CSR, Subject: q.Subject, Validity: r.c.Profile.Validity()})
	if err != nil && !errors.Is(err, upstream.ErrUnsupported) {
		return nil, err
	}
	i := slices.IndexFunc(found, func(c *x509.Certificate) bool {
		return bytes.Equal(c.RawSubjectPublicKeyInfo, request.RawSubjectPublicKeyInfo)
	})
	if i < 0 {
		return nil, nil
	}
	return found[i], nil
}

// openState is the state of a request whose poll failed.
func (q UpstreamRequest) openState() UpstreamState {
	if q.State == UpstreamSent {
		return UpstreamUnknown
	}
	return q.State
}

// sweepRevocations carries out what is due of the revocations at one CA, a few batches of
// them.
func (r elsewhere) sweepRevocations(ctx context.Context, authority string) error {
	for range upstreamBatches {
		now := r.c.Now()
		due, err := r.c.Store.DueUpstreamRevocations(ctx, authority, now, now.Add(upstreamHold), upstreamBatch)
		if err != nil {
			return portal.AsOutage(portal.PartStore, "listing revocations at other CAs", err)
		}
		inParallel(due, func(v UpstreamRevocation) { r.revokeThere(ctx, v) })
		if len(due) < upstreamBatch {
			break
		}
	}
	return nil
}

// revokeThere has a CA revoke one certificate and records the outcome.
func (r elsewhere) revokeThere(ctx context.Context, v UpstreamRevocation) {
	err := r.askToRevoke(ctx, v)
	now := r.c.Now()
	var entry audit.Entry
	v.Tries++
	switch {
	case err == nil:
		v.Done, v.DoneBy, v.Next, v.Detail = now, ByCA, time.Time{}, ""
		entry = portal.Actor{}.Entry(now, audit.UpstreamRevoked)
		entry.Object, entry.Detail = v.Serial.String(), map[string]string{"authority": v.Authority, "why": v.Why}
	case errors.Is(err, upstream.ErrUnsupported):
		v.Next, v.Detail = time.Time{}, err.Error()
	default:
		v.Next, v.Detail = now.Add(min(maxRevokePause, revokePause<<min(v.Tries, 10))), cut(err.Error())
	}
	if err != nil {
		r.c.Log.Error("another CA did not revoke", "authority", v.Authority, "serial", v.Serial.String(), "tries", v.Tries, "err", err)
	}
	if err := r.c.Store.NoteUpstreamRevocation(context.WithoutCancel(ctx), v, entry); err != nil {
		r.c.Log.Error("recording a revocation at another CA, which is asked for again", "serial", v.Serial.String(), "err", err)
	}
}

func (r elsewhere) askToRevoke(ctx context.Context, v UpstreamRevocation) error {
	u, known := r.upstreams[v.Authority]
	if !known {
		return fmt.Errorf("%s is not among the settings any more", v.Authority)
	}
	cert, err := x509.ParseCertificate(v.DER)
	if err != nil {
		return fmt.Errorf("parsing certificate %s: %w", v.Serial, err)
	}
	ctx, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	return u.CA.Revoke(ctx, upstream.Revocation{Certificate: cert, Reason: v.Reason})
}
