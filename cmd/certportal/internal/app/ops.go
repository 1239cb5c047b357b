package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/ops"
)

// listenOps takes the port for health and metrics. Without the default one, which
// another portal on the machine may have, the portal runs on; one that somebody chose
// is watched by something, which must not look at another portal.
func (p *App) listenOps(ctx context.Context) (err error) {
	if p.Settings.ListenOps == "" {
		return nil
	}
	var lc net.ListenConfig
	p.opsPort, err = lc.Listen(ctx, "tcp", p.Settings.ListenOps)
	switch {
	case err == nil:
		return nil
	case p.Settings.ListenOps == config.DefaultOps:
		p.opsPort = nil
		p.log.Warn("no health and metrics: their default port is taken; choose listen_ops", "err", err)
		return nil
	}
	return fmt.Errorf("listen_ops: %w", err)
}

// openOps wires what that port tells of.
func (p *App) openOps(context.Context, *config.Terminal) (err error) {
	p.ops, err = ops.New(ops.Config{
		Version: p.version, Checks: p.readyChecks(),
		Lists: p.lists.Health, Online: p.onlineHealth, Answers: &p.answers, Certificates: p.watchedEnds,
		Ledger: func(ctx context.Context) (int64, error) {
			head, err := p.DB.Head(ctx)
			return head.Seq, err
		},
		Journal: p.journal.Trouble, Requests: &p.requests, Now: p.Now, Log: p.log,
	})
	return err
}

// countedOCSP counts what is answered online.
type countedOCSP struct {
	*ocsp.Responder
	answers *ops.Answers
}

// Respond answers one request.
func (c countedOCSP) Respond(ctx context.Context, request []byte) ocsp.Answer {
	a := c.Responder.Respond(ctx, request)
	c.answers.Count(a.DER, !a.NextUpdate.IsZero())
	return a
}

// opsServer answers on that port; nil when there is none.
func (p *App) opsServer() *http.Server {
	if p.opsPort == nil {
		return nil
	}
	return &http.Server{
		Handler: p.ops, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second,
		WriteTimeout: 15 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10,
	}
}

// opsAddress is where that port is, for the log; empty without.
func (p *App) opsAddress() string {
	if p.opsPort == nil {
		return ""
	}
	return p.opsPort.Addr().String()
}

// probeLife is how long a write that went through says that the next one will.
const probeLife = 5 * time.Second

// followPatience is how long online answers may lag behind the records before this
// server should get no more questions.
const followPatience = time.Minute

// readyChecks are what this server must have to be of use: a store that takes what is
// written, a key that opens, lists and answers that others still accept.
func (p *App) readyChecks() []ops.Check {
	return []ops.Check{
		{Name: "store", Look: p.probeStore()},
		{Name: "ca", Look: func(context.Context) error { return p.CA.Sealed }},
		{Name: "lists", Look: func(context.Context) error { return p.listsAlive() }},
		{Name: "ocsp", Look: func(context.Context) error { return p.onlineAlive() }},
	}
}

// probeStore writes, unless it did a moment ago.
func (p *App) probeStore() func(context.Context) error {
	var mu sync.Mutex
	var written time.Time
	return func(ctx context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if age := time.Since(written); age < probeLife {
			return nil
		}
		if err := p.DB.Probe(ctx); err != nil {
			return err
		}
		written = time.Now()
		return nil
	}
}

// listsAlive says which complete list is missing or at the end of its life.
func (p *App) listsAlive() error {
	var errs []error
	for _, h := range p.lists.Health() {
		switch {
		case h.Delta:
		case h.List.Number == 0:
			errs = append(errs, fmt.Errorf("there is no revocation list of %s", h.Issuer))
		case h.Level >= crl.Ending:
			errs = append(errs, fmt.Errorf("the revocation list of %s ends at %s", h.Issuer, h.List.NextUpdate.UTC().Format(time.RFC3339)))
		}
	}
	return errors.Join(errs...)
}

// onlineAlive says why online answers of this server cannot be relied upon.
func (p *App) onlineAlive() error {
	h := p.onlineHealth()
	switch {
	case h == nil:
		return nil
	case h.Signer == nil:
		return errors.New("nobody signs online answers")
	case !p.Now().Before(h.Signer.NotAfter):
		return fmt.Errorf("the signer of online answers ended at %s", h.Signer.NotAfter.UTC().Format(time.RFC3339))
	case !h.Followed.IsZero() && p.Now().Sub(h.Followed) > followPatience:
		return fmt.Errorf("online answers do not follow the records since %s", h.Followed.UTC().Format(time.RFC3339))
	}
	return nil
}
