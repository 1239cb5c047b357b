package step_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/upstream"
	"certportal/ca/upstream/step"
	"certportal/ca/upstream/wire"
	"certportal/internal/test/standin"
	"certportal/internal/test/stepca"
	"certportal/internal/test/testkit"
)

func realClient(t *testing.T, s *stepca.CA) *step.CA {
	t.Helper()
	made, err := step.New(step.Config{
		Wire:        wire.Config{URL: s.URL, Anchors: []*x509.Certificate{s.Root}},
		Provisioner: stepca.Provisioner,
		Key:         func() (string, error) { return s.Key, nil },
		Password:    func() (string, error) { return stepca.Password, nil },
	})
	testkit.NoError(t, err)
	return made
}

func documentedTemplate(t *testing.T) string {
	t.Helper()
	return testkit.DocBlocks(t, "upstream-step-ca.md", "gotemplate")[0]
}

func check(t *testing.T, s *stepca.CA, person ca.Subject, key crypto.Signer) error {
	t.Helper()
	answer, err := realClient(t, s).Submit(t.Context(), standin.RequestFor(t, person, key))
	if err != nil {
		t.Fatalf("%v\n%s", err, s.Log())
	}
	return ca.Foreign{
		Profile: standin.Profile(t), Subject: person, Key: key.Public(),
		Anchors: []*x509.Certificate{s.Root}, Intermediates: answer.Chain,
	}.Check(answer.Certificate, time.Now())
}

func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	testkit.NoError(t, err)
	return key
}

func ecKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	testkit.NoError(t, err)
	return key
}

func TestStepCAWithDefaultTemplateIsRefused(t *testing.T) {
	s := stepca.Start(t, stepca.Config{})
	var refused *ca.ForeignError
	if err := check(t, s, standin.Person(), rsaKey(t)); !errors.As(err, &refused) {
		t.Fatalf("comparison gives %v, want a ForeignError", err)
	}
	for _, rule := range []string{"san-upn", "sid", "extended-key-usage"} {
		if !slices.ContainsFunc(refused.Findings, func(f string) bool { return strings.HasPrefix(f, rule+":") }) {
			t.Errorf("no finding of %s in %q", rule, refused.Findings)
		}
	}
}

func TestStepCAWithTemplateOfTheDocs(t *testing.T) {
	s := stepca.Start(t, stepca.Config{Template: documentedTemplate(t)})
	withoutMail, longName, hostile := standin.Person(), standin.Person(), standin.Person()
	withoutMail.Mail = ""
	longName.UPN = strings.Repeat("a", 70) + "@corp.example"
	hostile.Name, hostile.UPN, hostile.Mail = `"}, {{ fail "x" }}`, strings.Repeat("b", 70)+"@corp.example", "o'brien+x@corp.example"
	for name, person := range map[string]ca.Subject{
		"usual": standin.Person(), "without-mail": withoutMail, "long": longName, "hostile": hostile,
	} {
		for kind, key := range map[string]crypto.Signer{"RSA": rsaKey(t), "P-256": ecKey(t)} {
			if err := check(t, s, person, key); err != nil {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
		}
	}
}

func TestStepCATemplateOfTheDocsRefusesAnotherCompany(t *testing.T) {
	s := stepca.Start(t, stepca.Config{Template: documentedTemplate(t)})
	person := standin.Person()
	person.UPN = "anna@other.example"
	request := standin.RequestFor(t, person, ecKey(t))
	_, err := realClient(t, s).Submit(t.Context(), request)
	var denied *upstream.Denied
	if !errors.As(err, &denied) || denied.Credentials || denied.Code != "HTTP 400" {
		t.Errorf("error is %v, want a Denied with HTTP 400", err)
	}
}

func TestStepCARevokes(t *testing.T) {
	s := stepca.Start(t, stepca.Config{Template: documentedTemplate(t)})
	client := realClient(t, s)
	certs, err := client.Probe(t.Context())
	testkit.NoError(t, err)
	if len(certs) != 2 || !certs[0].Equal(s.Root) || !certs[1].Equal(s.Issuer) {
		t.Errorf("probe gives %d certificates, want root and issuing CA", len(certs))
	}
	request, _ := standin.NewRequest(t)
	answer, err := client.Submit(t.Context(), request)
	testkit.NoError(t, err)
	for _, when := range []string{"first", "again"} {
		if err := client.Revoke(t.Context(), upstream.Revocation{Certificate: answer.Certificate, Reason: 1}); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	never := *answer.Certificate
	never.SerialNumber = answer.Certificate.SerialNumber.Not(answer.Certificate.SerialNumber)
	if err := client.Revoke(t.Context(), upstream.Revocation{Certificate: &never, Reason: 99}); err == nil {
		t.Error("revocation with an impossible reason is accepted")
	}
}

func TestStepCAWithoutCRLIsFoundOut(t *testing.T) {
	s := stepca.Start(t, stepca.Config{WithoutCRL: true})
	if _, err := realClient(t, s).Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "crl.enabled") {
		t.Errorf("error is %v, want one about crl.enabled", err)
	}
}

func TestStepCARefusesALongerValidity(t *testing.T) {
	s := stepca.Start(t, stepca.Config{Template: documentedTemplate(t)})
	request, _ := standin.NewRequest(t)
	request.Validity = 30000 * time.Hour
	_, err := realClient(t, s).Submit(t.Context(), request)
	var denied *upstream.Denied
	if !errors.As(err, &denied) || denied.Credentials || denied.Code != "HTTP 403" {
		t.Errorf("error is %v, want a Denied with HTTP 403", err)
	}
}
