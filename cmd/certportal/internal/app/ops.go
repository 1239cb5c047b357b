package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"certportal/ca/ocsp"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/doctor"
	"certportal/internal/ops"
)

// listenOps takes the port for health and metrics. If the default
// port is taken, perhaps by another portal, this portal runs without. A configured port
// that is taken is an error: monitoring would read another portal.
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
	return fmt.Errorf("listen_ops: %w", explainListen(p.Settings.ListenOps, err))
}

// openOps makes the handler of health and metrics.
func (p *App) openOps(context.Context, *config.Terminal) (err error) {
	p.ops, err = ops.New(ops.Config{
		Version: p.program.Version, Stopping: p.stopping.Load, Checks: p.doctor.Ready(), Plain: doctor.ReadyPlain(p.doctor),
		Lists: p.lists.Health, Company: p.company.State, Online: p.ocspHealth, Answers: &p.answers, Certificates: p.doctor.Expiries,
		Ledger: func(ctx context.Context) (int64, error) {
			head, err := p.DB.Head(ctx)
			return head.Seq, err
		},
		Enrolments: func() ops.Enrolments { return ops.Enrolments(p.keys.Load()) },
		Journal:    p.journal.Trouble, Requests: &p.requests, Now: p.Now, Log: p.log,
	})
	return err
}

// countedOCSP counts OCSP answers.
type countedOCSP struct {
	*ocsp.Group
	answers *ops.Answers
}

// Respond answers one request.
func (c countedOCSP) Respond(ctx context.Context, request []byte) ocsp.Answer {
	a := c.Group.Respond(ctx, request)
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

// addressOf is where a port is, for the log; empty for none.
func addressOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}
