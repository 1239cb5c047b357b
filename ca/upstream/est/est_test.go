package est_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/ca/upstream"
	"certportal/ca/upstream/est"
	"certportal/ca/upstream/wire"
	"certportal/internal/test/standin"
	standinest "certportal/internal/test/standin/est"
	"certportal/internal/test/testkit"
)

func client(t *testing.T, s *standinest.CA, timeout time.Duration, change func(*est.Config)) *est.CA {
	t.Helper()
	config := est.Config{
		Wire:  wire.Config{URL: s.URL, Anchors: []*x509.Certificate{s.TLS}, Timeout: timeout},
		Label: standinest.Label, User: standinest.User,
		Password: func() (string, error) { return standinest.Password + "\n", nil },
	}
	if change != nil {
		change(&config)
	}
	made, err := est.New(config)
	testkit.NoError(t, err)
	return made
}

func TestStandIn(t *testing.T) {
	for name, change := range map[string]func(*standinest.CA, *est.Config){
		"password": func(*standinest.CA, *est.Config) {},
		"certificate": func(s *standinest.CA, c *est.Config) {
			c.Label, c.User, c.Password = "", "", nil
			c.Wire.Certificate = func() (*tls.Certificate, error) { return s.ClientCertificate, nil }
		},
		"binary": func(s *standinest.CA, _ *est.Config) { s.SetBinary(true) },
	} {
		t.Run(name, func(t *testing.T) {
			standin.Suite{
				New: func(t *testing.T, timeout time.Duration) (*standin.Server, upstream.CA) {
					s := standinest.Start(t)
					return s.Server, client(t, s, timeout, func(c *est.Config) { change(s, c) })
				},
				Refuses: []standin.Fault{standin.Denied},
			}.Run(t)
		})
	}
}

func TestWaitingRequestIsAskedForAgain(t *testing.T) {
	s := standinest.Start(t)
	c := client(t, s, time.Minute, nil)
	s.Set(standin.Pending)
	request, key := standin.NewRequest(t)
	answer, err := c.Submit(t.Context(), request)
	testkit.NoError(t, err)
	if !answer.Pending() || answer.ID == "" || answer.RetryAfter != 30*time.Second || answer.Text != "waiting for approval" {
		t.Errorf("answer is %+v, want one that waits for 2 minutes", answer)
	}
	again, err := c.Poll(t.Context(), answer.ID)
	testkit.NoError(t, err)
	if !again.Pending() || again.ID != answer.ID {
		t.Errorf("poll gives ID %.20q, want the same and no certificate", again.ID)
	}
	s.Approve()
	issued, err := c.Poll(t.Context(), answer.ID)
	testkit.NoError(t, err)
	testkit.NoError(t, s.Check(t, issued, key))
	if s.Submits() != 1 || s.Polls() != 2 || len(s.Issued()) != 1 {
		t.Errorf("%d submits, %d polls and %d certificates, want 1, 2 and 1", s.Submits(), s.Polls(), len(s.Issued()))
	}
}

func TestWaitingRequestIsDenied(t *testing.T) {
	s := standinest.Start(t)
	c := client(t, s, time.Minute, nil)
	s.Set(standin.Pending)
	request, _ := standin.NewRequest(t)
	answer, err := c.Submit(t.Context(), request)
	testkit.NoError(t, err)
	s.Set(standin.Denied)
	_, err = c.Poll(t.Context(), answer.ID)
	var denied *upstream.Denied
	if !errors.As(err, &denied) || strings.Contains(denied.Text, "\x1b") || !strings.Contains(denied.Text, "name is not allowed") {
		t.Errorf("error is %v, want a Denied with readable text", err)
	}
}

func TestForeignIDIsNotSent(t *testing.T) {
	s := standinest.Start(t)
	c := client(t, s, time.Minute, nil)
	for _, id := range []string{"", "42", "pkcs10:", "pkcs10:???", "pkcs10:AAAA"} {
		if _, err := c.Poll(t.Context(), id); err == nil {
			t.Errorf("%q is accepted", id)
		}
	}
	if len(s.Calls()) != 0 {
		t.Errorf("%d calls, want none", len(s.Calls()))
	}
}

func TestUnreadablePasswordIsNotSent(t *testing.T) {
	s := standinest.Start(t)
	c := client(t, s, time.Minute, func(c *est.Config) {
		c.Password = func() (string, error) { return "", errors.New("no such file") }
	})
	request, _ := standin.NewRequest(t)
	if _, err := c.Submit(t.Context(), request); !errors.Is(err, upstream.ErrUnsent) || len(s.Calls()) != 0 {
		t.Errorf("error is %v after %d calls, want ErrUnsent after none", err, len(s.Calls()))
	}
}

func TestNewRefusesIncompleteSettings(t *testing.T) {
	password := func() (string, error) { return "", nil }
	for name, config := range map[string]est.Config{
		"no-login":    {},
		"no-password": {User: "u"},
		"no-user":     {Password: password},
		"colon":       {User: "u:v", Password: password},
	} {
		config.Wire.URL = "https://est.example"
		if _, err := est.New(config); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// An answer to a poll that is no answer of the CA leaves the request as it is.
func TestPollThroughAProxyInMaintenance(t *testing.T) {
	for status, want := range map[int]bool{302: true, 404: true, 429: true, 503: true, 500: false, 502: false, 400: false} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://maintenance.example/")
			w.WriteHeader(status)
		}))
		t.Cleanup(server.Close)
		client := testkit.Must(est.New(est.Config{
			Wire: wire.Config{URL: server.URL, Anchors: []*x509.Certificate{server.Certificate()}},
			User: "u", Password: func() (string, error) { return "p", nil },
		}))(t)
		request, _ := standin.NewRequest(t)
		_, err := client.Poll(t.Context(), "pkcs10:"+base64.RawURLEncoding.EncodeToString(request.CSR))
		if got := errors.Is(err, upstream.ErrUnsent); got != want {
			t.Errorf("status %d: %v, want that nothing is known %v", status, err, want)
		}
	}
}

// TestA17_WrongPasswordIsTriedOnce: a rush of people does not lock the portal's account.
func TestA17_WrongPasswordIsTriedOnce(t *testing.T) {
	s := standinest.Start(t)
	c := client(t, s, time.Minute, func(c *est.Config) { c.Password = func() (string, error) { return "old", nil } })
	request, _ := standin.NewRequest(t)
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() { c.Submit(t.Context(), request) })
	}
	wait.Wait()
	testkit.Equal(t, "messages with the wrong password", s.Submits(), 1)
}
