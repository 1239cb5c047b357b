package step_test

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"certportal/ca/upstream"
	"certportal/ca/upstream/step"
	"certportal/ca/upstream/wire"
	"certportal/internal/test/standin"
	standinstep "certportal/internal/test/standin/step"
)

func client(t *testing.T, s *standinstep.CA, timeout time.Duration, change func(*step.Config)) *step.CA {
	t.Helper()
	config := step.Config{
		Wire:        wire.Config{URL: s.URL, Anchors: []*x509.Certificate{s.TLS}, Timeout: timeout},
		Provisioner: standinstep.Provisioner, Key: s.Key,
	}
	if change != nil {
		change(&config)
	}
	made, err := step.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestStandIn(t *testing.T) {
	standin.Suite{
		New: func(t *testing.T, timeout time.Duration) (*standin.Server, upstream.CA) {
			s := standinstep.Start(t)
			return s.Server, client(t, s, timeout, nil)
		},
		Refuses: []standin.Fault{standin.Denied},
	}.Run(t)
}

func TestProbeSaysThatTheProvisionerIsAnother(t *testing.T) {
	s, other := standinstep.Start(t), standinstep.Start(t)
	for name, change := range map[string]func(*step.Config){
		"name": func(c *step.Config) { c.Provisioner = "other" },
		"key":  func(c *step.Config) { c.Key = other.Key },
	} {
		_, err := client(t, s, time.Minute, change).Probe(t.Context())
		var denied *upstream.Denied
		if !errors.As(err, &denied) || !denied.Credentials {
			t.Errorf("%s: error is %v, want refused credentials", name, err)
		}
	}
}

func TestNothingIsSentWithoutAKey(t *testing.T) {
	s := standinstep.Start(t)
	const secret = "very-secret-text"
	for name, change := range map[string]func(*step.Config){
		"unreadable": func(c *step.Config) { c.Key = func() (string, error) { return "", errors.New("no such file") } },
		"no-key":     func(c *step.Config) { c.Key = func() (string, error) { return secret, nil } },
		"password": func(c *step.Config) {
			c.Password = func() (string, error) { return "", errors.New("no such file") }
		},
		"rsa": func(c *step.Config) {
			c.Key = func() (string, error) { return `{"kty":"oct","k":"` + secret + `"}`, nil }
		},
	} {
		request, _ := standin.NewRequest(t)
		_, err := client(t, s, time.Minute, change).Submit(t.Context(), request)
		if !errors.Is(err, upstream.ErrUnsent) {
			t.Errorf("%s: error is %v, want ErrUnsent", name, err)
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: error holds the secret: %v", name, err)
		}
	}
	if s.Submits() != 0 {
		t.Errorf("%d requests arrived, want 0", s.Submits())
	}
}

func TestClockThatIsWrongIsRefusedCredentials(t *testing.T) {
	s := standinstep.Start(t)
	request, _ := standin.NewRequest(t)
	late := func(c *step.Config) { c.Now = func() time.Time { return time.Now().Add(-time.Hour) } }
	_, err := client(t, s, time.Minute, late).Submit(t.Context(), request)
	var denied *upstream.Denied
	if !errors.As(err, &denied) || !denied.Credentials {
		t.Errorf("error is %v, want refused credentials", err)
	}
}

func TestNewRefusesIncompleteSettings(t *testing.T) {
	key := func() (string, error) { return "", nil }
	for name, config := range map[string]step.Config{
		"http":        {Wire: wire.Config{URL: "http://ca.example"}, Provisioner: "p", Key: key},
		"provisioner": {Wire: wire.Config{URL: "https://ca.example"}, Key: key},
		"key":         {Wire: wire.Config{URL: "https://ca.example"}, Provisioner: "p"},
	} {
		if _, err := step.New(config); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
