package adcs_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"certportal/ca/upstream"
	"certportal/ca/upstream/adcs"
	"certportal/internal/test/standin"
	directory "certportal/internal/test/standin/adcs"
	"certportal/internal/test/standin/ces"
	"certportal/internal/test/testkit"
)

func TestWrongCredentials(t *testing.T) {
	server := ces.Start(t)
	request, _ := standin.NewRequest(t)
	for name, c := range map[string]adcs.Config{"password": byPassword(t, server), "certificate": byCertificate(t, server)} {
		if c.Password != nil {
			c.Password = func() (string, error) { return "s3cret-of-the-portal", nil }
		} else {
			stranger := directory.NewCompany(t)
			c.Wire.Certificate = stranger.ClientCertificate(t)
		}
		client := newClient(t, c)
		_, err := client.Submit(t.Context(), request)
		if name == "password" {
			testkit.Equal(t, "is about credentials", deniedBy(t, err).Credentials, true)
		} else if !errors.Is(err, upstream.ErrUnsent) {
			t.Errorf("%s: error is %v, want that nothing was sent", name, err)
		}
		if _, probe := client.Probe(t.Context()); probe == nil {
			t.Errorf("%s: probe succeeds", name)
		} else if strings.Contains(fmt.Sprint(err, probe), "s3cret") {
			t.Errorf("%s: error holds the password: %v", name, err)
		}
	}
	testkit.Equal(t, "certificates", len(server.Issued()), 0)
}

// The password is read for each message, so that it can be changed.
func TestPasswordIsRenewed(t *testing.T) {
	server := ces.Start(t)
	c := byPassword(t, server)
	password := "old"
	c.Password = func() (string, error) { return password, nil }
	client := newClient(t, c)
	_, err := client.Probe(t.Context())
	testkit.Equal(t, "old password", deniedBy(t, err).Credentials, true)
	password = directory.Password
	_, err = client.Probe(t.Context())
	testkit.NoError(t, err)
}

func TestProbeOfABrokenCA(t *testing.T) {
	server := ces.Start(t)
	client := newClient(t, byCertificate(t, server))
	server.SetFault("a:InternalServiceFault")
	if _, err := client.Probe(t.Context()); err == nil {
		t.Error("probe succeeds though the web service cannot answer")
	}
}

func TestSettings(t *testing.T) {
	server := ces.Start(t)
	for name, change := range map[string]func(*adcs.Config){
		"no credentials":   func(c *adcs.Config) { c.Wire.Certificate = nil },
		"both credentials": func(c *adcs.Config) { c.Username = "portal" },
		"no password":      func(c *adcs.Config) { c.Wire.Certificate, c.Username = nil, "portal" },
		"no template":      func(c *adcs.Config) { c.Template = "" },
		"http":             func(c *adcs.Config) { c.Wire.URL = "http://ces.corp.example/CES" },
	} {
		c := byCertificate(t, server)
		change(&c)
		if _, err := adcs.New(c); err == nil {
			t.Errorf("%s: settings are accepted", name)
		}
	}
}

// TestA17_WrongPasswordIsTriedOnce: a rush of people does not lock the portal's account.
func TestA17_WrongPasswordIsTriedOnce(t *testing.T) {
	server := ces.Start(t)
	request, _ := standin.NewRequest(t)
	c := byPassword(t, server)
	c.Password = func() (string, error) { return "old", nil }
	client := newClient(t, c)
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() { client.Submit(t.Context(), request) })
	}
	wait.Wait()
	testkit.Equal(t, "messages with the wrong password", len(server.Bodies()), 1)
}

// What a server says without SOAP is the only reason that an administrator gets. Its pages
// are none.
func TestTextWithoutSOAPIsKept(t *testing.T) {
	server := ces.Start(t)
	client := newClient(t, byCertificate(t, server))
	request, _ := standin.NewRequest(t)
	for sent, want := range map[string]string{
		"The requested template is not valid": "The requested template is not valid",
		"\ufeff <!DOCTYPE html><p>no":         "",
		"\xff\xfe":                            "",
	} {
		server.SetText(http.StatusForbidden, sent)
		_, err := client.Submit(t.Context(), request)
		testkit.Equal(t, "text", deniedBy(t, err).Text, want)
	}
	server.SetText(http.StatusInternalServerError, "File 2147483647 not found")
	_, err := client.Submit(t.Context(), request)
	wantUnknown(t, err)
	if _, err := client.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "File 2147483647 not found") {
		t.Errorf("error is %v, want the text of the server", err)
	}
}
