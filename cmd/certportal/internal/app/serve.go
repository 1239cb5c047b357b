package app

import (
	"context"
	"log/slog"
	"net/http"
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
	p.runClocks(ctx)
	p.log.Info("serving", "version", p.program.Version, "https", p.https.Addr().String(), "http", p.http.Addr().String(),
		"public", p.Public.HTTPS.String(), "check", addressOf(p.checkPort), "ops", addressOf(p.opsPort), "revoker", addressOf(p.revokerPort))

	var err error
	select {
	case <-ended.Done():
	case err = <-failed:
	}
	p.closeBy = time.Now().Add(stopWithin)
	if err == nil {
		err = p.awaitBalancer(failed)
	}
	stop()
	// Requests under way outlive ctx.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace-p.stopDelay())
	defer cancel()
	p.finish(grace, all)
	p.Registrar.DrainUpstream(grace)
	p.awaitLoops(grace)
	p.writeLast(context.WithoutCancel(ctx))
	p.log.Info("stopped")
	return err
}

// schemaEvery is how often it is looked whether a newer program moved the schema on, or the
// records were moved to another database.
const schemaEvery = 5 * time.Second

// runClocks starts the background work: prepared keys, CRLs, OCSP, drift watch, mail,
// audit log, sweep, TLS renewal.
func (p *App) runClocks(ctx context.Context) {
	l := &p.loops
	l.run("prepared keys", func() { p.keys.Run(ctx) })
	l.run("issuing CAs", func() { p.CA.Line.Run(ctx) })
	l.run("tokens", func() { p.CA.RunTokens(ctx, p.log) })
	l.run("changes of issuing CAs", func() { p.followAuthorities(ctx) })
	l.run("revocation lists", func() { p.lists.Run(ctx) })
	l.run("lists of the company", func() { p.company.Run(ctx) })
	l.run("online answers", func() { p.ocsp.Run(ctx) })
	l.run("journal of revocations", func() { p.journal.Run(ctx) })
	l.run("drift watch", func() { p.watch.Run(ctx) })
	if p.mail != nil {
		l.run("mail", func() { p.mail.Run(ctx) })
	}
	l.run("orders of administrators", func() { p.admin.Run(ctx) })
	l.run("numbers of the overview", func() { p.admin.RunHourly(ctx) })
	l.run("audit log", func() { p.audit.Run(ctx) })
	if p.Settings.Backup.Folder != "" {
		l.run("backup", func() { p.backUp(ctx) })
		l.every(ctx, "backup", backupLook, func() { p.backUp(ctx) })
	}
	logExpiries := p.doctor.LogExpiries()
	logExpiries(ctx)
	l.every(ctx, "expiries", time.Hour, func() { logExpiries(ctx) })
	if p.scep != nil {
		l.every(ctx, "SCEP", time.Hour, func() { p.refreshSCEP(ctx) })
	}
	if p.ldap != nil {
		l.run("first look at the directory", func() { p.checkAtStart(ctx) })
		l.run("policy of passwords", func() { p.followLock(ctx) })
	}
	l.every(ctx, "schema", schemaEvery, func() { _ = p.DB.CheckWritable(ctx) }) // logs, and ends writing
	l.every(ctx, "clock and sweep", clockEvery, func() { p.everyMinute(ctx) })
	l.run("other CAs", func() { p.Registrar.RunUpstreams(ctx) })
	if p.tls.acme != nil {
		l.run("certificate by ACME", func() { p.tls.acme.Run(ctx) })
	}
	l.every(ctx, "TLS certificate", 12*time.Hour, func() { p.refreshTLS(ctx) })
}

// everyMinute checks the clock, sweeps, and replaces own certificates that were revoked.
func (p *App) everyMinute(ctx context.Context) {
	p.clock.check(ctx)
	if err := p.sweep(ctx); err != nil && ctx.Err() == nil {
		p.log.Error("sweeping", "err", err)
	}
	if p.tls.temporary.Load() || p.tls.currentRevoked(ctx) {
		p.refreshTLS(ctx)
	}
	if p.scep == nil {
		return
	}
	// What a sealed CA cannot issue is logged once an hour.
	if err := p.scep.Reload(ctx); err != nil && ctx.Err() == nil && p.CA.Ready() == nil {
		p.log.Error("reloading the SCEP agent", "err", err)
	}
}

func (p *App) refreshSCEP(ctx context.Context) {
	if err := p.scep.Refresh(ctx); err != nil && ctx.Err() == nil {
		p.log.Error("refreshing the SCEP agent", "err", err)
	}
}

func (p *App) refreshTLS(ctx context.Context) {
	if err := p.tls.refresh(ctx); err != nil && ctx.Err() == nil {
		p.log.Error("refreshing the TLS certificate", "err", err)
	}
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
