package kerberos_test

import (
	"crypto/x509"
	"testing"
	"time"

	"certportal/ca/upstream"
	"certportal/ca/upstream/adcs"
	"certportal/ca/upstream/certsrv"
	"certportal/ca/upstream/kerberos"
	"certportal/ca/upstream/wire"
	"certportal/internal/test/standin"
	directory "certportal/internal/test/standin/adcs"
	pages "certportal/internal/test/standin/certsrv"
	"certportal/internal/test/standin/ces"
	"certportal/internal/test/standin/negotiate"
	"certportal/internal/test/testkit"
)

// Both web services of AD CS do by Kerberos what they do by certificate.
func TestStandInsByKerberos(t *testing.T) {
	d := newDomain(t)
	account := testkit.Must(kerberos.New(d.config(t)))(t)
	iis := negotiate.Start(t, d.Keytab(t, service), principal, nil)
	reach := func(url string, server *standin.Server, timeout time.Duration) wire.Config {
		iis.Show(server.TLS)
		return wire.Config{URL: url, Anchors: []*x509.Certificate{server.TLS}, Kerberos: account, Timeout: timeout}
	}
	t.Run("enrolment web service", func(t *testing.T) {
		standin.Suite{Refuses: []standin.Fault{standin.Denied}, NoChain: true, New: func(t *testing.T, timeout time.Duration) (*standin.Server, upstream.CA) {
			server := ces.Start(t)
			server.Kerberos = iis
			return server.Server, testkit.Must(adcs.New(adcs.Config{
				Wire: reach(server.KerberosURL(), server.Server, timeout), Template: "User", Agent: agent(t, server.Company),
			}))(t)
		}}.Run(t)
	})
	t.Run("web enrolment pages", func(t *testing.T) {
		server := pages.Start(t)
		server.Kerberos = iis
		client := testkit.Must(certsrv.New(certsrv.Config{
			Wire: reach(server.FolderURL(), server.Server, time.Minute), Template: "User", Agent: agent(t, server.Company),
		}))(t)
		request, key := standin.NewRequest(t)
		answer := testkit.Must(client.Submit(t.Context(), request))(t)
		testkit.NoError(t, server.Check(t, answer, key))
		testkit.Equal(t, "requests", server.Submits(), 1)
		_, err := client.Probe(t.Context())
		testkit.NoError(t, err)
	})
}

func agent(t *testing.T, company *directory.Company) func() (*adcs.Agent, error) {
	t.Helper()
	cert, key := company.Agent(t, time.Now().Add(time.Hour))
	return func() (*adcs.Agent, error) { return &adcs.Agent{Certificate: cert, Key: key}, nil }
}
