package app

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"certportal/web"
)

// Serve answers requests until ctx ends, and with PostgreSQL for the stop delay after that.
// Then it finishes those under way.
func (p *App) Serve(ended context.Context) error {
	ctx, stop := context.WithCancel(context.WithoutCancel(ended))
	defer stop()
	p.errorLog = slog.NewLogLogger(web.LimitLines(p.log.Handler(), p.Now), slog.LevelWarn)
	secure, plain := p.servers()
	all := []*http.Server{secure, plain}
	failed := make(chan error, 5)
	go func() { failed <- secure.ServeTLS(p.https, "", "") }()
	go func() { failed <- plain.Serve(p.http) }()
	if watched := p.opsServer(); watched != nil {
		all = append(all, watched)
		go func() { failed <- watched.Serve(p.opsPort) }()
	}
	if check := p.checkServer(); check != nil {
		all = append(all, check)
		go func() { failed <- check.ServeTLS(p.checkPort, "", "") }()
	}
	if revokers := p.revokerServer(); revokers != nil {
		all = append(all, revokers)
		go func() { failed <- revokers.ServeTLS(p.revokerPort, "", "") }()
	}
	clocks := p.runClocks(ctx)
	p.log.Info("serving", "version", p.program.Version, "https", p.https.Addr().String(), "http", p.http.Addr().String(),
		"public", p.Public.HTTPS.String(), "check", addressOf(p.checkPort), "ops", addressOf(p.opsPort), "revoker", addressOf(p.revokerPort))

	var err error
	select {
	case <-ended.Done():
		err = p.awaitBalancer(failed)
	case err = <-failed:
	}
	stop()
	// Requests under way outlive ctx.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace-p.stopDelay())
	defer cancel()
	p.finish(grace, all)
	p.Registrar.DrainUpstream(grace)
	clocks.Wait()
	p.writeLast(context.WithoutCancel(ctx))
	p.log.Info("stopped")
	return err
}

// schemaEvery is how often it is looked whether a newer program moved the schema on.
const schemaEvery = 5 * time.Second

// runClocks starts the background work: prepared keys, CRLs, OCSP, drift watch, mail,
// audit log, sweep, TLS renewal.
func (p *App) runClocks(ctx context.Context) *sync.WaitGroup {
	var clocks sync.WaitGroup
	clocks.Go(func() { p.keys.Run(ctx) })
	clocks.Go(func() { p.CA.Line.Run(ctx) })
	clocks.Go(func() { p.CA.RunTokens(ctx, p.log) })
	clocks.Go(func() { p.followAuthorities(ctx) })
	clocks.Go(func() { p.lists.Run(ctx) })
	clocks.Go(func() { p.company.Run(ctx) })
	clocks.Go(func() { p.ocsp.Run(ctx) })
	clocks.Go(func() { p.journal.Run(ctx) })
	clocks.Go(func() { p.watch.Run(ctx) })
	if p.mail != nil {
		clocks.Go(func() { p.mail.Run(ctx) })
	}
	clocks.Go(func() { p.admin.Run(ctx) })
	clocks.Go(func() { p.admin.RunHourly(ctx) })
	clocks.Go(func() { p.audit.Run(ctx) })
	if p.Settings.Backup.Folder != "" {
		clocks.Go(func() { p.backUp(ctx) })
		every(ctx, &clocks, backupLook, func() { p.backUp(ctx) })
	}
	logExpiries := p.doctor.LogExpiries()
	logExpiries(ctx)
	every(ctx, &clocks, time.Hour, func() { logExpiries(ctx) })
	if p.scep != nil {
		every(ctx, &clocks, time.Hour, func() {
			if err := p.scep.Refresh(ctx); err != nil && ctx.Err() == nil {
				p.log.Error("refreshing the SCEP agent", "err", err)
			}
		})
	}
	if p.ldap != nil {
		clocks.Go(func() { p.checkAtStart(ctx) })
		clocks.Go(func() { p.followLock(ctx) })
	}
	every(ctx, &clocks, schemaEvery, func() { _ = p.DB.CheckSchema(ctx) }) // logs, and ends writing
	every(ctx, &clocks, clockEvery, func() {
		p.clock.check(ctx)
		if err := p.sweep(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("sweeping", "err", err)
		}
		if p.tls.temporary.Load() {
			p.refreshTLS(ctx)
		}
	})
	clocks.Go(func() { p.Registrar.RunUpstreams(ctx) })
	if p.tls.acme != nil {
		clocks.Go(func() { p.tls.acme.Run(ctx) })
	}
	every(ctx, &clocks, 12*time.Hour, func() { p.refreshTLS(ctx) })
	return &clocks
}

func (p *App) refreshTLS(ctx context.Context) {
	if err := p.tls.refresh(ctx); err != nil && ctx.Err() == nil {
		p.log.Error("refreshing the TLS certificate", "err", err)
	}
}

// every calls do at an interval until the context ends.
func every(ctx context.Context, group *sync.WaitGroup, interval time.Duration, do func()) {
	group.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				do()
			}
		}
	})
}

// servers returns the https and the plain-http server.
func (p *App) servers() (secure, plain *http.Server) {
	secure, plain = p.server(p.web.Handler()), p.server(p.web.PlainHandler())
	secure.TLSConfig = p.tls.config()
	return secure, plain
}

// server makes a server with a limit on everything a client can delay.
func (p *App) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ErrorLog: p.errorLog, ConnState: p.fresh.note,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		WriteTimeout: 60 * time.Second, IdleTimeout: 75 * time.Second,
		MaxHeaderBytes: 16 << 10,
	}
}
