package scep_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	wire "github.com/smallstep/scep"
	"github.com/smallstep/scep/x509util"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/scep"
	"certportal/internal/test/testkit"
	testfixture "certportal/internal/test/testkit/fixture"
	"certportal/store"
)

var (
	_ enroll.Store = (*store.DB)(nil)
	_ scep.Store   = (*store.DB)(nil)
)

// The client's side of the library takes its algorithms from package variables.
func TestMain(m *testing.M) {
	pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC
	if err := pkcs7.SetDefaultDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// fixture is a SCEP server over a real store, registrar and CA; only the clock is fake.
type fixture struct {
	t          testing.TB
	db         *store.DB
	file       string // of the database
	people     *directory.Builtin
	registrar  *enroll.Registrar
	hierarchy  *ca.Hierarchy
	issuing    atomic.Pointer[ca.Issuer] // of hierarchy, or of one that took over
	server     *scep.Server
	config     scep.Config
	url        string
	shift      atomic.Int64
	anna, bert portal.Person
	key        enroll.PickupKey
	devices    atomic.Int32
	validity   time.Duration // of the certificates; zero is the default
	overlap    time.Duration // the same, after a renewal
	made       int           // RA certificates, which serials does not count
	ledger     []audit.Entry
}

// now follows the real clock, because the messages of the client library do.
func (h *fixture) now() time.Time       { return time.Now().Add(time.Duration(h.shift.Load())) }
func (h *fixture) pass(d time.Duration) { h.shift.Add(int64(d)) }
func (h *fixture) byPerson(p portal.Person) portal.Actor {
	return portal.Actor{Person: p.ID, Role: portal.Employee}
}
func encryptKey(key crypto.Signer) ([]byte, error) { return x509.MarshalPKCS8PrivateKey(key) }
func decryptKey(encrypted []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(encrypted)
	if err != nil {
		return nil, err
	}
	return key.(crypto.Signer), nil
}

func newFixture(t testing.TB) *fixture { return newFixtureIn(t, t.TempDir()) }

// shortLife is how long certificates of a renewing fixture are valid, and renewable the
// time after which they may be renewed: half of it.
const (
	shortLife = 48 * time.Hour
	renewable = shortLife/2 + time.Minute
)

// newRenewingFixture issues certificates that are soon renewed. It starts in the past:
// messages are signed at the real time, which must lie within the life of the first two
// certificates.
func newRenewingFixture(t testing.TB) *fixture {
	t.Helper()
	h := &fixture{t: t, key: enroll.PickupKey{7}, validity: shortLife, overlap: time.Hour}
	h.pass(-renewable - time.Hour)
	return h.start(t.TempDir())
}

func newFixtureIn(t testing.TB, dir string) *fixture {
	t.Helper()
	return (&fixture{t: t, key: enroll.PickupKey{7}}).start(dir)
}

func (h *fixture) start(dir string) *fixture {
	h.t.Helper()
	t := h.t
	ctx, log := t.Context(), slog.New(slog.DiscardHandler)
	h.file = filepath.Join(dir, "portal.db")
	h.db = testkit.Must(store.Open(ctx, store.Config{URL: h.file, Log: log, Secret: portal.Secret{1}}))(t)
	t.Cleanup(func() { h.db.Close() })
	h.people = testkit.Must(directory.NewBuiltin(h.db))(t)
	h.anna, h.bert = h.add("anna", 1101), h.add("bert", 1102)
	h.hierarchy = testkit.Must(ca.CreateHierarchy(ca.HierarchyConfig{
		Organization: "Example Company", RootKind: ca.ECP256, IssuingKind: ca.ECP256,
	}, h.now()))(t)
	h.issuing.Store(testfixture.Issuer(t, h.hierarchy))
	profile := testkit.Must(ca.NewProfile(ca.ProfileConfig{Name: "User", Validity: h.validity}))(t)
	h.registrar = testkit.Must(enroll.New(enroll.Config{
		Directory: h.people, Issuer: activeIssuer{h}, Profile: profile, Keys: enroll.NewKeyPool(ca.ECP256, 0, log),
		Store: h.db, DeviceKeys: true, Quota: 1 << 20, Overlap: h.overlap,
		Chain: h.chain, Now: h.now, Log: log,
	}))(t)
	own := testkit.Must(enroll.NewOwnIssuer(enroll.OwnConfig{
		Store: h.db, Issuer: func() (*ca.Issuer, error) { return h.issuing.Load(), nil }, Now: h.now, Log: log,
	}))(t)
	h.config = scep.Config{
		Registrar: h.registrar, Store: h.db, Issuer: own,
		Actor:   func(*http.Request) portal.Actor { return portal.Actor{Address: "192.0.2.9", Request: "r1"} },
		Encrypt: encryptKey, Decrypt: decryptKey, Now: h.now, Log: log,
	}
	h.server = h.replica()
	h.made = h.serials()
	web := httptest.NewServer(h.server)
	t.Cleanup(web.Close)
	h.url = web.URL + scep.Path
	return h
}

func (h *fixture) chain(leaf *x509.Certificate) []*x509.Certificate {
	if leaf != nil && leaf.CheckSignatureFrom(h.hierarchy.Issuing) == nil {
		return []*x509.Certificate{h.hierarchy.Issuing}
	}
	return []*x509.Certificate{h.issuing.Load().Certificate()}
}

// activeIssuer issues under the CA that issues now.
type activeIssuer struct{ *fixture }

func (i activeIssuer) Prepare(p *ca.Profile, s ca.Subject, key crypto.PublicKey, now time.Time) (*ca.Prepared, error) {
	return i.issuing.Load().Prepare(p, s, key, now)
}

func (i activeIssuer) Sign(p *ca.Prepared) (*x509.Certificate, error) {
	return i.issuing.Load().Sign(p)
}

// replica returns another server over the same store.
func (h *fixture) replica() *scep.Server {
	h.t.Helper()
	s := testkit.Must(scep.New(h.config))(h.t)
	if err := s.Refresh(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (h *fixture) add(login string, rid int) portal.Person {
	h.t.Helper()
	p := portal.Person{
		ID: portal.PersonID(login), Login: login, UPN: login + "@corp.example", Mail: login + "@corp.example",
		SID: fmt.Sprintf("S-1-5-21-1004336348-1177238915-682003330-%d", rid), MayEnroll: true,
	}
	err := h.db.AddAccount(h.t.Context(), portal.Account{Person: p, PasswordHash: "none"},
		audit.Entry{At: h.now(), Action: audit.AccountAdded, Actor: "test"})
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *fixture) challenge(p portal.Person) enroll.Challenge {
	h.t.Helper()
	return testkit.Must(h.registrar.NewChallenge(h.t.Context(), enroll.Request{
		By: h.byPerson(p), Name: fmt.Sprintf("Phone %d", h.devices.Add(1)), Platform: portal.IOS, PickupKey: h.key,
	}))(h.t)
}

// entries returns the audit log. It reads only entries added since the last call.
func (h *fixture) entries() []audit.Entry {
	h.t.Helper()
	h.ledger = append(h.ledger, testkit.Must(h.db.Entries(h.t.Context(), int64(len(h.ledger)), 100_000))(h.t)...)
	return h.ledger
}

func (h *fixture) last() audit.Entry { all := h.entries(); return all[len(all)-1] }

// serials counts the serial numbers reserved for devices.
func (h *fixture) serials() int {
	n := -h.made
	for _, e := range h.entries() {
		if e.Action == audit.CertificateReserved {
			n++
		}
	}
	return n
}

// caCerts fetches the certificates of GetCACert.
func (h *fixture) caCerts() []*x509.Certificate {
	h.t.Helper()
	status, body := h.get("GetCACert")
	if status != http.StatusOK {
		h.t.Fatalf("GetCACert: status %d", status)
	}
	return testkit.Must(wire.CACerts(body))(h.t)
}

func (h *fixture) get(operation string) (int, []byte) {
	h.t.Helper()
	resp, err := http.Get(h.url + "?operation=" + operation)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, testkit.Must(io.ReadAll(resp.Body))(h.t)
}

func (h *fixture) post(message []byte) (int, []byte) {
	h.t.Helper()
	resp, err := http.Post(h.url+"?operation=PKIOperation", "application/x-pki-message", bytes.NewReader(message))
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, testkit.Must(io.ReadAll(resp.Body))(h.t)
}

// phone is a device with a key and the certificate with which it signs messages.
type phone struct {
	key    *rsa.PrivateKey
	signer *x509.Certificate
}

// rsaKeys are shared by the tests, because generating one takes longer than a test. A
// registrar issues only one certificate for a key.
var rsaKeys struct {
	sync.Mutex
	all []*rsa.PrivateKey
}

func rsaKey(t testing.TB, n int) *rsa.PrivateKey {
	t.Helper()
	rsaKeys.Lock()
	defer rsaKeys.Unlock()
	for len(rsaKeys.all) <= n {
		rsaKeys.all = append(rsaKeys.all, testkit.Must(rsa.GenerateKey(rand.Reader, 2048))(t))
	}
	return rsaKeys.all[n]
}

func newPhone(t testing.TB, n int) phone {
	t.Helper()
	key := rsaKey(t, n)
	return phone{key: key, signer: selfSigned(t, key, big.NewInt(int64(n)+1))}
}

func selfSigned(t testing.TB, key crypto.Signer, serial *big.Int) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "phone"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der := testkit.Must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	return testkit.Must(x509.ParseCertificate(der))(t)
}

// csr makes a certificate request from a template.
func csr(t testing.TB, key crypto.Signer, challenge string, template x509.CertificateRequest) *x509.CertificateRequest {
	t.Helper()
	der := testkit.Must(x509util.CreateCertificateRequest(rand.Reader,
		&x509util.CertificateRequest{CertificateRequest: template, ChallengePassword: challenge}, key))(t)
	return testkit.Must(x509.ParseCertificateRequest(der))(t)
}

// message wraps a request with the client library.
func (h *fixture) message(p phone, kind wire.MessageType, request *x509.CertificateRequest) *wire.PKIMessage {
	h.t.Helper()
	return h.messageTo(h.caCerts(), p, kind, request)
}

// messageTo is message for the certificates that another server announced.
func (h *fixture) messageTo(to []*x509.Certificate, p phone, kind wire.MessageType, request *x509.CertificateRequest) *wire.PKIMessage {
	h.t.Helper()
	return testkit.Must(wire.NewCSRRequest(request, &wire.PKIMessage{
		MessageType: kind, Recipients: to, SignerKey: p.key, SignerCert: p.signer,
	}, wire.WithCertsSelector(wire.EnciphermentCertsSelector())))(h.t)
}

func (h *fixture) first(p phone, challenge string) *wire.PKIMessage {
	h.t.Helper()
	return h.message(p, wire.PKCSReq, csr(h.t, p.key, challenge, x509.CertificateRequest{}))
}

// send posts a message and decrypts the response as a client does, checking signature and
// nonce.
func (h *fixture) send(p phone, m *wire.PKIMessage) *wire.PKIMessage {
	h.t.Helper()
	status, body := h.post(m.Raw)
	if status != http.StatusOK {
		h.t.Fatalf("status %d: %s", status, body)
	}
	answer := testkit.Must(wire.ParsePKIMessage(body, wire.WithCACerts(h.caCerts())))(h.t)
	if answer.TransactionID != m.TransactionID || !bytes.Equal(answer.RecipientNonce, m.SenderNonce) {
		h.t.Errorf("answer to %q with nonce %x, want %q and %x", answer.TransactionID, answer.RecipientNonce, m.TransactionID, m.SenderNonce)
	}
	if answer.PKIStatus == wire.SUCCESS {
		if err := answer.DecryptPKIEnvelope(p.signer, p.key); err != nil {
			h.t.Fatal(err)
		}
	}
	return answer
}

// issue sends a message and requires a certificate.
func (h *fixture) issue(p phone, m *wire.PKIMessage) *x509.Certificate {
	h.t.Helper()
	answer := h.send(p, m)
	if answer.PKIStatus != wire.SUCCESS {
		h.t.Fatalf("status %s, fail info %s: %v", answer.PKIStatus, answer.FailInfo, h.last().Detail)
	}
	return answer.Certificate
}

// denied sends a message and requires a failure that reserves no serial and is recorded
// once, with this reason.
func (h *fixture) denied(p phone, m *wire.PKIMessage, info wire.FailInfo, reason string) {
	h.t.Helper()
	before := h.serials()
	answer := h.send(p, m)
	if answer.PKIStatus != wire.FAILURE || answer.FailInfo != info {
		h.t.Errorf("status %s with %q, want failure with %q", answer.PKIStatus, answer.FailInfo, info)
	}
	if got := h.serials(); got != before {
		h.t.Errorf("a refusal left %d serials", got-before)
	}
	last := h.last()
	if last.Action != audit.EnrolmentRefused || last.Detail["reason"] != reason || last.Address != "192.0.2.9" {
		h.t.Errorf("last entry %s %v from %q, want refusal %q", last.Action, last.Detail, last.Address, reason)
	}
}

// count returns the number of audit entries of an action.
func (h *fixture) count(action audit.Action) int {
	h.t.Helper()
	n := 0
	for _, e := range h.entries() {
		if e.Action == action {
			n++
		}
	}
	return n
}
