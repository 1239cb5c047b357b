package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

type healthCommand struct {
	Ready bool          `help:"Ask whether it takes requests, too: /readyz instead of /healthz."`
	Wait  time.Duration `placeholder:"60s" help:"Ask again for this long until it is well: after its start a portal needs some seconds, and at the first start, which makes the CA, more."`
}

// askAgain is the pause between two questions.
const askAgain = 500 * time.Millisecond

// Run asks the portal that runs on this machine. It is for health checks of containers,
// which have no other program, and for people who have just started it.
func (h healthCommand) Run(i *invocation) error {
	address, err := h.address(i)
	if err != nil {
		return err
	}
	for end := time.Now().Add(h.Wait); ; {
		err := askHealth(i.ctx, address)
		if err == nil {
			_, err = fmt.Fprintln(i.io.out, "the portal is well")
			return err
		}
		if !time.Now().Before(end) {
			return err
		}
		select {
		case <-i.ctx.Done():
			return err
		case <-time.After(askAgain):
		}
	}
}

// address is what to ask.
func (h healthCommand) address(i *invocation) (string, error) {
	s, err := i.settings()
	if err != nil {
		return "", err
	}
	host, port, err := net.SplitHostPort(s.ListenOps)
	if err != nil {
		return "", errors.New("listen_ops is not set: the portal has no address to ask for its health")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	path := "/healthz"
	if h.Ready {
		path = "/readyz"
	}
	return "http://" + net.JoinHostPort(host, port) + path, nil
}

func askHealth(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return fmt.Errorf("asking the portal for its health: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("the portal answers %s: %s", resp.Status, text)
	}
	return nil
}
