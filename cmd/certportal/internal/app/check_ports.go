package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/durable"
	"certportal/internal/portal"
)

// portFindings tries the ports that the portal listens on, but for those that have mistakes.
// Those of a portal that runs on the same data folder are its own.
func portFindings(ctx context.Context, s *config.Settings, wrong *config.Mistakes) []portal.Finding {
	running := isRunning(s)
	var findings []portal.Finding
	var lc net.ListenConfig
	for _, p := range []struct{ key, address string }{{"listen", s.Listen}, {"listen_http", s.ListenHTTP}, {"listen_ops", s.ListenOps}, {"listen_check", s.ListenCheck}, {"listen_revoker", s.ListenRevoker}} {
		if p.address == "" || wrong != nil && wrong.In(p.key) {
			continue
		}
		f := portal.Finding{What: p.key, State: portal.FindingOK, Text: p.address + " is free"}
		l, err := lc.Listen(ctx, "tcp", p.address)
		if err == nil {
			err = l.Close()
		}
		switch {
		case errors.Is(err, syscall.EADDRINUSE) && running:
			f.Text = p.address + " is in use, as a portal runs on " + s.Data
		case errors.Is(err, fs.ErrPermission) && serviceTakesPorts(serviceUnits):
			f.Text = p.address + " may be taken by the service, to which its unit gives the capability"
		case errors.Is(err, fs.ErrPermission): // the service may have more rights than this command
			f.State, f.Text = portal.FindingWarning, explainListen(p.address, err).Error()
		case err != nil && p.key == "listen_ops" && p.address == config.DefaultOps:
			f.State, f.Text = portal.FindingWarning, fmt.Sprintf("%v. The portal then runs without health and metrics", explainListen(p.address, err))
		case err != nil && p.key == "listen_check" && p.address == config.DefaultCheck:
			f.State, f.Text = portal.FindingWarning, fmt.Sprintf("%v. The portal then runs without the check page", explainListen(p.address, err))
		case err != nil:
			f.State, f.Text = portal.FindingFailed, explainListen(p.address, err).Error()
		}
		findings = append(findings, f)
	}
	return findings
}

// explainListen says what to do when a port cannot be taken.
func explainListen(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use by another program, which \"ss -ltnp\" names: stop it, or choose another port: %w", address, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may be taken by root only: give the portal the capability CAP_NET_BIND_SERVICE "+
			"(AmbientCapabilities in its systemd unit), or choose a port above 1023: %w", address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is no address of this machine: write :PORT for all of them: %w", address, err)
	}
	return err
}

// hasServed reports whether a portal ran on the data folder at some time. Commands take the
// lock too, so its file shows nothing.
func hasServed(s *config.Settings) bool {
	_, err := os.Stat(lastStartFile(s))
	return !errors.Is(err, fs.ErrNotExist)
}

// isUnseen reports whether this account may not see whether a portal runs.
func isUnseen(s *config.Settings) bool {
	f, err := os.OpenFile(s.Path("portal.lock"), os.O_RDWR, 0)
	if err == nil {
		_ = f.Close()
	}
	return errors.Is(err, fs.ErrPermission)
}

// isRunning reports whether a portal runs on the data folder.
func isRunning(s *config.Settings) bool {
	f, err := os.OpenFile(s.Path("portal.lock"), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(durable.Lock(f), durable.ErrLocked) // closing the file gives it back
}
