// Package stepca runs smallstep's step-ca, a CA that is not the portal's, with a JWK
// provisioner for it. It needs no program step: keys and settings are written here.
package stepca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"certportal/internal/test/daemon"
)

// Names and secrets of the CA.
const (
	Version     = "v0.30.2"
	Provisioner = "certportal"
	Password    = "correct horse battery staple"
)

// The list of a CA is at its own address, in the place of that of the docs.
const (
	documentedURL = "http://ca.corp.example"
	listPath      = "/1.0/crl"
)

// Config says how the CA differs from a plain one.
type Config struct {
	Template   string // Optional: of the provisioner; default that of step-ca
	WithoutCRL bool
}

// CA is a running step-ca.
type CA struct {
	URL          string
	Root, Issuer *x509.Certificate
	Key          string // private key of the provisioner, a JWE opened by Password

	process *daemon.Process
	public  json.RawMessage
}

// Start runs a CA until the test ends. Where neither CI nor long tests run it skips the test
// when step-ca was not built on this machine, because that takes minutes.
func Start(t testing.TB, config Config) *CA {
	t.Helper()
	program := program(t)
	dir := t.TempDir()
	c := &CA{}
	port, err := daemon.Port()
	if err == nil {
		c.URL = fmt.Sprintf("https://localhost:%d", port)
		err = c.write(dir, port, config)
	}
	if err != nil {
		t.Fatalf("preparing step-ca: %v", err)
	}
	cmd := exec.Command(program, filepath.Join(dir, "ca.json"))
	cmd.Env = append(os.Environ(), "STEPPATH="+dir)
	c.process, err = daemon.Run(t.Context(), cmd, c.ready)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.process.Stop)
	return c
}

// Log gives what the CA printed.
func (c *CA) Log() string { return c.process.Log() }

func program(t testing.TB) string {
	t.Helper()
	name := "step-ca-" + Version
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(cache, "certportal-test", name)); err != nil && os.Getenv("CERTPORTAL_LONG") == "" && os.Getenv("CI") != "true" {
		t.Skip("step-ca takes minutes to compile: scripts/test long does, and CI")
	}
	folder, err := daemon.Cached(name, func(folder string) error {
		cmd := exec.Command("go", "install", "github.com/smallstep/certificates/cmd/step-ca@"+Version)
		cmd.Dir, cmd.Env = folder, append(os.Environ(), "GOBIN="+folder, "GOFLAGS=", "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("making step-ca: %w\n%s", err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, "step-ca")
}

func (c *CA) ready(ctx context.Context) error {
	roots := x509.NewCertPool()
	roots.AddCert(c.Root)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/health", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// write makes keys, certificates and ca.json.
func (c *CA) write(dir string, port int, config Config) error {
	if err := c.authority(dir); err != nil {
		return err
	}
	if err := c.provisioner(); err != nil {
		return err
	}
	provisioner := map[string]any{
		"type": "JWK", "name": Provisioner, "key": c.public,
		"claims": map[string]any{"maxTLSCertDuration": "26400h", "disableRenewal": true},
	}
	if config.Template != "" {
		template := strings.ReplaceAll(config.Template, documentedURL+listPath, c.URL+listPath)
		provisioner["options"] = map[string]any{"x509": map[string]string{"template": template}}
	}
	settings := map[string]any{
		"root": filepath.Join(dir, "root.pem"), "crt": filepath.Join(dir, "issuer.pem"), "key": filepath.Join(dir, "issuer.key"),
		"address": fmt.Sprintf("127.0.0.1:%d", port), "dnsNames": []string{"localhost"},
		"db":        map[string]string{"type": "bbolt", "dataSource": filepath.Join(dir, "db")},
		"authority": map[string]any{"provisioners": []any{provisioner}},
	}
	if !config.WithoutCRL {
		settings["crl"] = map[string]any{"enabled": true, "generateOnRevoke": true, "idpURL": c.URL + listPath}
	}
	content, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "ca.json"), content, 0o600)
}

// provisioner makes the key of the provisioner and encrypts it.
func (c *CA) provisioner() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making key: %w", err)
	}
	private := jose.JSONWebKey{Key: key, Algorithm: "ES256", Use: "sig"}
	thumbprint, err := private.Thumbprint(crypto.SHA256)
	if err != nil {
		return fmt.Errorf("computing thumbprint: %w", err)
	}
	private.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	if c.public, err = json.Marshal(private.Public()); err != nil {
		return fmt.Errorf("encoding key: %w", err)
	}
	plain, err := json.Marshal(private)
	if err != nil {
		return fmt.Errorf("encoding key: %w", err)
	}
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{
		Algorithm: jose.PBES2_HS256_A128KW, Key: []byte(Password), PBES2Count: 1000, PBES2Salt: []byte(rand.Text()),
	}, (&jose.EncrypterOptions{}).WithContentType("jwk+json"))
	if err != nil {
		return fmt.Errorf("preparing encryption: %w", err)
	}
	sealed, err := encrypter.Encrypt(plain)
	if err != nil {
		return fmt.Errorf("encrypting key: %w", err)
	}
	c.Key = sealed.FullSerialize() // as step crypto jwk create writes it
	return nil
}

// authority makes root and issuing CA.
func (c *CA) authority(dir string) error {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making root key: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making CA key: %w", err)
	}
	root := frame("Company Root CA", 1)
	if c.Root, err = signed(root, root, rootKey.Public(), rootKey); err != nil {
		return err
	}
	if c.Issuer, err = signed(frame("Company Issuing CA", 0), c.Root, key.Public(), rootKey); err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding key: %w", err)
	}
	for name, block := range map[string]*pem.Block{
		"root.pem":   {Type: "CERTIFICATE", Bytes: c.Root.Raw},
		"issuer.pem": {Type: "CERTIFICATE", Bytes: c.Issuer.Raw},
		"issuer.key": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

func frame(name string, length int) *x509.Certificate {
	sum := sha256.Sum256([]byte(rand.Text()))
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(sum[:15]), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10 * 365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: length, MaxPathLenZero: length == 0,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

func signed(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("signing %s: %w", template.Subject, err)
	}
	return x509.ParseCertificate(der)
}
