package scep_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/asn1"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	wire "github.com/smallstep/scep"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/scep"
	"certportal/internal/test/testkit"
)

// Only PKCSReq with a challenge is processed (CVE-2026-30836). The test sends every
// message type, with and without a challenge.
func TestA15_MessageTypes(t *testing.T) {
	h := newFixture(t)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	with, without := csr(t, p.key, c.Secret, x509.CertificateRequest{}), csr(t, p.key, "", x509.CertificateRequest{})
	for n := range 256 {
		kind := wire.MessageType(strconv.Itoa(n))
		switch kind {
		case wire.PKCSReq:
			h.denied(p, h.message(p, kind, without), wire.BadRequest, portal.ChallengeMissing)
		case wire.RenewalReq:
			h.denied(p, h.message(p, kind, with), wire.BadRequest, portal.HolderUnknown)
			h.denied(p, h.message(p, kind, without), wire.BadRequest, portal.HolderUnknown)
		default:
			h.denied(p, h.message(p, kind, with), wire.BadRequest, "message-type")
			h.denied(p, h.message(p, kind, without), wire.BadRequest, "message-type")
		}
		if t.Failed() {
			t.Fatalf("message type %d", n)
		}
	}
	for _, kind := range []wire.MessageType{"019", " 19", "19 ", "1９", "-1"} {
		status, _ := h.post(h.message(p, kind, with).Raw)
		if status != http.StatusBadRequest {
			h.denied(p, h.message(p, kind, with), wire.BadRequest, "message-type")
		}
	}
	// None of these attempts used up the challenge.
	h.issue(p, h.message(p, wire.PKCSReq, with))
}

func TestA15_Challenges(t *testing.T) {
	h := newFixture(t)
	p := newPhone(t, 0)
	c := h.challenge(h.anna)
	h.denied(p, h.first(p, "guess"), wire.BadRequest, portal.ChallengeUnknown)
	h.denied(p, h.first(p, c.Secret+"A"), wire.BadRequest, portal.ChallengeUnknown)
	h.denied(p, h.first(p, string(c.Token)), wire.BadRequest, portal.ChallengeUnknown)
	h.denied(p, h.first(p, ""), wire.BadRequest, portal.ChallengeMissing)

	m := h.first(p, c.Secret)
	cert := h.issue(p, m)
	other := newPhone(t, 1)
	h.denied(other, h.first(other, c.Secret), wire.BadRequest, portal.ChallengeUsed)
	// The same again is the same device, whose answer was lost.
	if again := h.issue(p, m); !again.Equal(cert) || h.serials() != 1 {
		t.Errorf("%d serials for one request", h.serials())
	}
	h.pass(10 * time.Minute)
	h.denied(p, m, wire.BadRequest, portal.ChallengeUsed)
	h.denied(other, h.first(other, c.Secret), wire.BadRequest, portal.ChallengeUsed)

	c = h.challenge(h.anna)
	h.pass(enroll.ChallengeLife)
	h.denied(other, h.first(other, c.Secret), wire.BadRequest, portal.ChallengeExpired)

	// A key that already has a certificate.
	c = h.challenge(h.bert)
	h.denied(p, h.first(p, c.Secret), wire.BadRequest, portal.KeyReused)
}

// The certificate is for the person of the challenge, independent of the sender and the
// content of the request.
func TestA15_ChallengeOfAnother(t *testing.T) {
	h := newFixture(t)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	h.challenge(h.bert)
	cert := h.issue(p, h.message(p, wire.PKCSReq, csr(t, p.key, c.Secret, x509.CertificateRequest{
		Subject: pkix.Name{CommonName: h.bert.UPN}, EmailAddresses: []string{h.bert.Mail},
	})))
	if cert.Subject.CommonName != h.anna.UPN || !slices.Equal(cert.EmailAddresses, []string{h.anna.Mail}) {
		t.Errorf("certificate of %s and %v", cert.Subject, cert.EmailAddresses)
	}
	if devices := testkit.Must(h.registrar.Devices(t.Context(), h.bert.ID))(t); len(devices) != 0 {
		t.Errorf("bert has %d devices", len(devices))
	}
}

func TestA15_ParallelRedemptions(t *testing.T) {
	h := newFixture(t)
	c := h.challenge(h.anna)
	var messages [][]byte
	for n := range 8 {
		p := newPhone(t, n%4)
		messages = append(messages, h.first(p, c.Secret).Raw)
	}
	var waiting sync.WaitGroup
	for _, m := range messages {
		waiting.Go(func() {
			resp, err := http.Post(h.url+"?operation=PKIOperation", "application/x-pki-message", bytes.NewReader(m))
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
		})
	}
	waiting.Wait()
	if got := h.serials(); got != 1 {
		t.Errorf("%d serials from one challenge", got)
	}
}

// A renewal is identified by the bytes of the stored certificate.
func TestA15_RenewalNeedsTheStoredCertificate(t *testing.T) {
	h := newFixture(t)
	victim, c := newPhone(t, 0), h.challenge(h.anna)
	victim.signer = h.issue(victim, h.first(victim, c.Secret))
	thief := newPhone(t, 1)
	want := csr(t, rsaKey(t, 2), "", x509.CertificateRequest{})

	thief.signer = selfSigned(t, thief.key, victim.signer.SerialNumber)
	h.denied(thief, h.message(thief, wire.RenewalReq, want), wire.BadRequest, portal.HolderUnknown)

	// The victim's names and serial number, from another CA of the same name.
	forged := *victim.signer
	forged.PublicKey, forged.Signature = nil, nil
	issuer := *h.hierarchy.Issuing
	key := testkit.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	issuer.PublicKey = key.Public()
	forged.ExtraExtensions = forged.Extensions
	der := testkit.Must(x509.CreateCertificate(rand.Reader, &forged, &issuer, thief.key.Public(), key))(t)
	thief.signer = testkit.Must(x509.ParseCertificate(der))(t)
	h.denied(thief, h.message(thief, wire.RenewalReq, want), wire.BadRequest, portal.HolderUnknown)

	// The victim's certificate without the victim's key.
	thief.signer = victim.signer
	h.denied(thief, h.message(thief, wire.RenewalReq, want), wire.BadMessageCheck, "message-signature")

	// The portal's own certificates belong to no person.
	ra := h.caCerts()[0]
	var key2 *rsa.PrivateKey
	err := h.db.RAs(t.Context(), h.now(), func(_, encrypted []byte) error {
		signer, err := decryptKey(encrypted)
		key2, _ = signer.(*rsa.PrivateKey)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	h.denied(phone{key2, ra}, h.message(phone{key2, ra}, wire.RenewalReq, want), wire.BadRequest, portal.HolderUnknown)

	// Revoked.
	if err := h.registrar.Remove(t.Context(), h.byPerson(h.anna), c.Device.ID); err != nil {
		t.Fatal(err)
	}
	h.denied(victim, h.message(victim, wire.RenewalReq, want), wire.BadRequest, portal.HolderEnded)
}

// TestA15_RenewalOfAPlantedHolder leads the rows of a phone's own certificate to another
// person in SQL: the renewal would be a certificate in that person's name.
func TestA15_RenewalOfAPlantedHolder(t *testing.T) {
	h := newRenewingFixture(t)
	thief, c := newPhone(t, 0), h.challenge(h.anna)
	thief.signer = h.issue(thief, h.first(thief, c.Secret))
	victim, other := newPhone(t, 1), h.challenge(h.bert)
	victim.signer = h.issue(victim, h.first(victim, other.Secret))
	h.pass(renewable)
	before := h.serials()
	plain := testkit.Must(sql.Open("sqlite", "file://"+h.file+"?_pragma=busy_timeout(5000)"))(t)
	defer plain.Close()
	for _, statement := range []string{
		"UPDATE devices SET person = 'bert' WHERE person = 'anna'",
		"UPDATE certificates SET person = 'bert', upn = 'bert@corp.example' WHERE person = 'anna'",
	} {
		testkit.Must(plain.ExecContext(t.Context(), statement))(t)
	}
	_, err := h.registrar.Renew(t.Context(), portal.Actor{}, thief.signer, rsaKey(t, 2).Public())
	var denial *portal.Denial
	if !errors.As(err, &denial) || denial.Why != portal.HolderUnknown {
		t.Errorf("got %v, want %s", err, portal.HolderUnknown)
	}
	if got := h.serials(); got != before {
		t.Errorf("%d serials, want the %d before", got, before)
	}
	testkit.Must(h.registrar.Renew(t.Context(), portal.Actor{}, victim.signer, rsaKey(t, 3).Public()))(t)
}

// TestA15_RenewalWithAPlantedCertificate puts a certificate of the thief's own, with the names
// of the victim, into the victim's row: no issuing CA signed it.
func TestA15_RenewalWithAPlantedCertificate(t *testing.T) {
	h := newRenewingFixture(t)
	victim, c := newPhone(t, 0), h.challenge(h.anna)
	victim.signer = h.issue(victim, h.first(victim, c.Secret))
	h.pass(renewable)
	before := h.serials()
	key := rsaKey(t, 1)
	forged := *victim.signer
	forged.PublicKey, forged.SignatureAlgorithm, forged.ExtraExtensions = key.Public(), x509.UnknownSignatureAlgorithm, victim.signer.Extensions
	issuing := *h.hierarchy.Issuing // its names and key identifier, but not its key
	issuing.PublicKey, issuing.SignatureAlgorithm = key.Public(), x509.UnknownSignatureAlgorithm
	der := testkit.Must(x509.CreateCertificate(rand.Reader, &forged, &issuing, key.Public(), key))(t)
	planted := testkit.Must(x509.ParseCertificate(der))(t)
	plain := testkit.Must(sql.Open("sqlite", "file://"+h.file+"?_pragma=busy_timeout(5000)"))(t)
	defer plain.Close()
	result := testkit.Must(plain.ExecContext(t.Context(), "UPDATE certificates SET der = ? WHERE person = 'anna'", der))(t)
	if n := testkit.Must(result.RowsAffected())(t); n != 1 {
		t.Fatalf("%d rows were planted, want 1", n)
	}
	_, err := h.registrar.Renew(t.Context(), portal.Actor{}, planted, rsaKey(t, 2).Public())
	var denial *portal.Denial
	if !errors.As(err, &denial) || denial.Why != portal.HolderUnknown {
		t.Errorf("got %v, want %s", err, portal.HolderUnknown)
	}
	if got := h.serials(); got != before {
		t.Errorf("%d serials, want the %d before", got, before)
	}
	shown := testkit.Must(h.registrar.Examine(t.Context(), planted, portal.Actor{}))(t)
	if shown.Verdict != portal.VerdictForeign {
		t.Errorf("shown to the check page it is %s, want %s", shown.Verdict, portal.VerdictForeign)
	}
}

func TestA15_RenewalAfterTheEnd(t *testing.T) {
	h := newFixture(t)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	p.signer = h.issue(p, h.first(p, c.Secret))
	h.pass(366 * 24 * time.Hour)
	_, err := h.registrar.Renew(t.Context(), portal.Actor{}, p.signer, rsaKey(t, 1).Public())
	var denial *portal.Denial
	if !errors.As(err, &denial) || denial.Why != portal.HolderEnded {
		t.Errorf("got %v, want %s", err, portal.HolderEnded)
	}
	if got := h.serials(); got != 1 {
		t.Errorf("%d serials, want the first", got)
	}
}

// The directory is read at the moment of issuing, not when the profile was made (A11).
func TestA11_LeaverBetweenProfileAndRequest(t *testing.T) {
	h := newRenewingFixture(t)
	p := newPhone(t, 0)
	used := newPhone(t, 1)
	device := h.challenge(h.anna)
	used.signer = h.issue(used, h.first(used, device.Secret))
	h.pass(renewable)
	c := h.challenge(h.anna)
	if err := h.people.SetDisabled(t.Context(), "anna", true, audit.Entry{At: h.now(), Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	h.denied(p, h.first(p, c.Secret), wire.BadRequest, string(portal.Disabled))
	h.denied(used, h.message(used, wire.RenewalReq, csr(t, p.key, "", x509.CertificateRequest{})), wire.BadRequest, string(portal.Disabled))
}

// withSHA1 signs a request with SHA-1, as phones did before 2016. The standard library
// cannot.
func withSHA1(t *testing.T, key *rsa.PrivateKey, request *x509.CertificateRequest) *x509.CertificateRequest {
	t.Helper()
	sum := sha1.Sum(request.RawTBSCertificateRequest)
	signature := testkit.Must(rsa.SignPKCS1v15(nil, key, crypto.SHA1, sum[:]))(t)
	der := testkit.Must(asn1.Marshal(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{
		asn1.RawValue{FullBytes: request.RawTBSCertificateRequest},
		pkix.AlgorithmIdentifier{Algorithm: pkcs7.OIDEncryptionAlgorithmRSASHA1, Parameters: asn1.NullRawValue},
		asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
	}))(t)
	return testkit.Must(x509.ParseCertificateRequest(der))(t)
}

func TestOldAlgorithmsAreRefused(t *testing.T) {
	h := newFixture(t)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	t.Run("DES", func(t *testing.T) {
		pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmDESCBC
		defer func() { pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC }()
		h.denied(p, h.first(p, c.Secret), wire.BadAlg, "message-algorithm")
	})
	t.Run("SHA-1", func(t *testing.T) {
		digest(t, pkcs7.OIDDigestAlgorithmSHA1)
		defer digest(t, pkcs7.OIDDigestAlgorithmSHA256)
		h.denied(p, h.first(p, c.Secret), wire.BadAlg, "message-algorithm")
	})
	t.Run("AES-128", func(t *testing.T) {
		pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES128CBC
		defer func() { pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC }()
		h.issue(p, h.first(p, c.Secret))
	})
}

func digest(t *testing.T, id asn1.ObjectIdentifier) {
	t.Helper()
	if err := pkcs7.SetDefaultDigestAlgorithm(id); err != nil {
		t.Fatal(err)
	}
}

// The response does not depend on what is wrong inside an envelope: it must not help to
// decrypt a captured one.
func TestEnvelopeIsNoOracle(t *testing.T) {
	h := newFixture(t)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	good := h.first(p, c.Secret)
	p7 := testkit.Must(pkcs7.Parse(good.Raw))(t)
	for _, tt := range []struct {
		name string
		at   int
	}{
		{"last block", len(p7.Content) - 1}, {"block before", len(p7.Content) - 17},
		{"middle block", len(p7.Content) - 400}, {"encrypted key", 300},
	} {
		t.Run(tt.name, func(t *testing.T) {
			content := slices.Clone(p7.Content)
			content[tt.at] ^= 0x40
			h.denied(p, h.resigned(p, good, content), wire.BadRequest, "message-envelope")
		})
	}
}

// resigned replaces the content of a message and signs it again.
func (h *fixture) resigned(p phone, m *wire.PKIMessage, content []byte) *wire.PKIMessage {
	h.t.Helper()
	signed := testkit.Must(pkcs7.NewSignedData(content))(h.t)
	id := func(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, n} }
	err := signed.AddSigner(p.signer, p.key, pkcs7.SignerInfoConfig{ExtraSignedAttributes: []pkcs7.Attribute{
		{Type: id(2), Value: string(wire.PKCSReq)}, {Type: id(5), Value: []byte(m.SenderNonce)}, {Type: id(7), Value: string(m.TransactionID)},
	}})
	if err != nil {
		h.t.Fatal(err)
	}
	return &wire.PKIMessage{Raw: testkit.Must(signed.Finish())(h.t), TransactionID: m.TransactionID, SenderNonce: m.SenderNonce}
}

// A message modified in transit is answered with badMessageCheck.
func TestChangedMessageIsRefused(t *testing.T) {
	h := newFixture(t)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	m := h.first(p, c.Secret)
	p7 := testkit.Must(pkcs7.Parse(m.Raw))(t)
	at := bytes.Index(m.Raw, p7.Content[len(p7.Content)-32:])
	m.Raw = slices.Clone(m.Raw)
	m.Raw[at] ^= 1
	h.denied(p, m, wire.BadMessageCheck, "message-signature")
}

// A message with any octet changed is refused, unless the octet is neither signed nor
// used. The server never panics.
func TestEveryChangedOctet(t *testing.T) {
	h := newFixture(t)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	good := h.first(p, c.Secret).Raw
	certs := h.caCerts()
	for at := 0; at < len(good); at += 9 {
		m := slices.Clone(good)
		m[at] ^= 0x15
		status, body := h.post(m)
		if status == http.StatusBadRequest {
			continue
		}
		if status != http.StatusOK {
			t.Fatalf("octet %d: status %d", at, status)
		}
		answer := testkit.Must(wire.ParsePKIMessage(body, wire.WithCACerts(certs)))(t)
		if answer.PKIStatus == wire.FAILURE {
			continue
		}
		if err := answer.DecryptPKIEnvelope(p.signer, p.key); err != nil {
			t.Fatal(err)
		}
		if cert := answer.Certificate; cert.Subject.CommonName != h.anna.UPN || !p.key.PublicKey.Equal(cert.PublicKey) {
			t.Errorf("octet %d: certificate of %s", at, cert.Subject)
		}
	}
	if got := h.serials(); got > 1 {
		t.Errorf("%d serials", got)
	}
}

// TestF11_AlteredRAIsReplaced: a bit of the stored RA's signature flips. Phones would refuse
// the certificate: another one is issued and announced.
func TestF11_AlteredRAIsReplaced(t *testing.T) {
	h := newFixture(t)
	der := slices.Clone(h.caCerts()[0].Raw)
	der[len(der)-1] ^= 1
	plain := testkit.Must(sql.Open("sqlite", "file://"+h.file+"?_pragma=busy_timeout(5000)"))(t)
	defer plain.Close()
	result := testkit.Must(plain.ExecContext(t.Context(), "UPDATE certificates SET der = ? WHERE serial IN (SELECT serial FROM agents)", der))(t)
	if n := testkit.Must(result.RowsAffected())(t); n != 1 {
		t.Fatalf("%d rows were altered, want 1", n)
	}
	s := testkit.Must(scep.New(h.config))(t)
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ra := announced(t, s)[0]; ra.CheckSignatureFrom(h.hierarchy.Issuing) != nil {
		t.Error("an RA that phones refuse is announced")
	}
}
