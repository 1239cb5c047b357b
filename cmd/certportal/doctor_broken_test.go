package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/doctor"
	"certportal/internal/portal"
	"certportal/internal/test/daemon"
	"certportal/internal/test/ldapserver"
	"certportal/internal/test/smtpserver"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// site is an installation in which all is well, with proxies in front of its portal that a
// test can break.
type site struct {
	environ map[string]string
	folder  string
	plain   *front
	secure  *front
}

// front is a reverse proxy. broken, if not nil, answers in its place what it wants to.
type front struct {
	*httptest.Server
	broken atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
}

func startFront(t *testing.T, backend string, secure bool) *front {
	t.Helper()
	f := &front{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(testkit.Must(url.Parse(backend))(t))
			r.Out.Host = r.In.Host
			r.SetXForwarded()
			if f.broken.Load() != nil {
				r.Out.Header.Del("X-Forwarded-For")
				for _, v := range r.In.Header.Values("X-Test-Forwarded") {
					r.Out.Header.Set("X-Forwarded-For", v)
				}
			}
		},
		ErrorLog:  log.New(io.Discard, "", 0),
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken := f.broken.Load(); broken != nil && (*broken)(w, r) {
			return
		}
		proxy.ServeHTTP(w, r)
	})
	f.Server = httptest.NewUnstartedServer(h)
	if secure {
		f.StartTLS()
	} else {
		f.Start()
	}
	t.Cleanup(f.CloseClientConnections)
	return f
}

// newSite makes the settings of the installation and the servers around it.
func newSite(t *testing.T) *site {
	t.Helper()
	folder := t.TempDir()
	s := &site{environ: fixture.FastCA(), folder: folder}
	plain, secure := freeAddress(t), freeAddress(t)
	s.plain, s.secure = startFront(t, "http://"+plain, false), startFront(t, "https://"+secure, true)
	mail := smtpserver.Start(t, smtpserver.Config{Ways: []string{"PLAIN"}, MustLogin: true})
	for key, value := range map[string]string{
		"DATA": filepath.Join(folder, "data"), "ORGANIZATION": "Contoso", "LISTEN_OPS": "127.0.0.1:0", "LISTEN_CHECK": "",
		"LISTEN": secure, "LISTEN_HTTP": plain, "PUBLIC_URL": s.secure.URL, "PUBLIC_HTTP_URL": s.plain.URL, "TRUSTED_PROXIES": "127.0.0.1/32",
		"CA_PASSPHRASE_FILE": s.file(t, "passphrase", "a passphrase of the keys"), "REVOCATION_FOLDERS": s.dir(t, "lists"),
		"MAIL_HOST": mail.Host(), "MAIL_PORT": strconv.Itoa(mail.Port()), "MAIL_CA_FILE": mail.CAFile(), "MAIL_USER": smtpserver.User,
		"MAIL_PASSWORD_FILE": s.file(t, "mail-password", smtpserver.Password), "MAIL_FROM": "portal@corp.example",
		"ANCHORS_0_NAME": "site", "ANCHORS_0_FILE": s.file(t, "site.pem", string(ca.PEM(s.secure.Certificate()))),
	} {
		s.environ["CERTPORTAL_"+key] = value
	}
	return s
}

func (s *site) file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(s.folder, name)
	testkit.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (s *site) dir(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(s.folder, name)
	testkit.NoError(t, os.Mkdir(path, 0o700))
	return path
}

// freeAddress is an address that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	return testkit.Must(daemon.FreeAddress())(t)
}

// serve runs the portal until stop is called or the test ends.
func (s *site) serve(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	var out, errs bytes.Buffer
	go func() { ended <- run(ctx, []string{"serve"}, streams{strings.NewReader(""), &out, &errs}, s.environ) }()
	stopped := false
	stop = func() {
		if cancel(); !stopped {
			stopped = true
			if code := <-ended; code != exitDone {
				t.Errorf("serve: exit %d\n%s", code, errs.String())
			}
		}
	}
	t.Cleanup(stop)
	testkit.Eventually(t, "the portal answers", func() bool {
		resp, err := http.Get(s.plain.URL + "/crl/issuing.crl")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	})
	return stop
}

// examine gives the states of all checks.
func (s *site) examine(t *testing.T, environ map[string]string, args ...string) map[string]portal.FindingState {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), append([]string{"doctor", "--json"}, args...), streams{strings.NewReader(""), &out, &errs}, environ)
	var report doctor.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || code != report.Exit {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out.String(), errs.String())
	}
	states := map[string]portal.FindingState{}
	for _, c := range report.Checks {
		states[c.Name] = c.State
	}
	return states
}

// newlyNamed gives the checks that a well installation does not name: without those that
// were skipped, whose cause is another check.
func newlyNamed(well, now map[string]portal.FindingState) map[string]portal.FindingState {
	named := maps.Clone(now)
	maps.DeleteFunc(named, func(name string, state portal.FindingState) bool {
		return state == well[name] || state == portal.FindingOK || state == portal.FindingSkipped
	})
	return named
}

// broken is one way to break an installation that does not run.
type broken struct {
	name  string
	check string // the only one that may name it
	state portal.FindingState
	how   func(t *testing.T, c *copied)
	after func(t *testing.T, c *copied) // breaks it, where how only prepares what is to compare with; optional
}

// brokenWay is one way to break what is between the portal and its clients.
type brokenWay struct {
	name, check string
	plain       bool // on the way to the plain-http side
	answer      func(http.ResponseWriter, *http.Request) bool
}

// copied is a copy of an installation to break.
type copied struct {
	*site
	data    string
	environ map[string]string
}

func (c *copied) set(key, value string) { c.environ["CERTPORTAL_"+key] = value }

func (c *copied) path(parts ...string) string {
	return filepath.Join(append([]string{c.data}, parts...)...)
}

func (c *copied) sql(t *testing.T, statements ...string) {
	t.Helper()
	db := testkit.Must(sql.Open("sqlite", c.path("portal.db")))(t)
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(s, err)
		}
	}
}

// list puts another list of the issuing CA in the place of the newest.
func (c *copied) list(t *testing.T, thisUpdate, nextUpdate time.Time) {
	t.Helper()
	passphrase := bytes.TrimSpace(testkit.Must(os.ReadFile(c.environ["CERTPORTAL_CA_PASSPHRASE_FILE"]))(t))
	key := testkit.Must(ca.DecryptKey(testkit.Must(os.ReadFile(c.path("ca", "issuing.key")))(t), passphrase))(t)
	folder := testkit.Must(ca.OpenFolder(c.path("ca")))(t)
	issuer := testkit.Must(ca.NewIssuer(ca.IssuerConfig{Certificate: folder.Issuing(), Signer: key}))(t)
	db := testkit.Must(sql.Open("sqlite", c.path("portal.db")))(t)
	defer db.Close()
	var number int64
	testkit.NoError(t, db.QueryRow("SELECT max(number) FROM crls WHERE issuer = 'issuing'").Scan(&number))
	thisUpdate, nextUpdate = thisUpdate.Truncate(time.Second), nextUpdate.Truncate(time.Second)
	der := testkit.Must(issuer.CRL(ca.CRLConfig{Number: big.NewInt(number), ThisUpdate: thisUpdate, NextUpdate: nextUpdate}))(t)
	testkit.Must(db.Exec("UPDATE crls SET der = ?, this_update = ?, next_update = ? WHERE issuer = 'issuing' AND number = ?",
		der, thisUpdate.UnixMilli(), nextUpdate.UnixMilli(), number))(t)
}

// onDisk break files, settings, database and servers.
func onDisk() []broken {
	const failed, warning = portal.FindingFailed, portal.FindingWarning
	return []broken{
		{"an unknown setting", "settings", failed, func(t *testing.T, c *copied) { c.set("LISTN", ":443") }, nil},
		{"a logo that is gone", "settings", failed, func(t *testing.T, c *copied) { c.set("PAGES_LOGO", c.path("logo.png")) }, nil},
		{"a database of garbage", "database", failed, func(t *testing.T, c *copied) {
			removeDatabase(t, c)
			testkit.NoError(t, os.WriteFile(c.path("portal.db"), bytes.Repeat([]byte("garbage "), 1000), 0o600))
		}, nil},
		{"no database", "database", failed, removeDatabase, nil},
		{"a database of an older version", "database", failed, func(t *testing.T, c *copied) {
			c.sql(t, "DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)")
		}, nil},
		{"a database server that never answers", "database", failed, func(t *testing.T, c *copied) {
			c.set("DATABASE", "postgres://portal@"+silent(t)+"/portal?sslmode=disable")
		}, nil},
		{"no authority", "ca", failed, func(t *testing.T, c *copied) { testkit.NoError(t, os.RemoveAll(c.path("ca"))) }, nil},
		{"a key that is gone", "ca", failed, func(t *testing.T, c *copied) { testkit.NoError(t, os.Remove(c.path("ca", "issuing.key"))) }, nil},
		{"a wrong passphrase", "ca", failed, func(t *testing.T, c *copied) {
			c.set("CA_PASSPHRASE_FILE", c.file(t, "wrong-passphrase", "another passphrase"))
		}, nil},
		{"the authority of another portal", "ca", failed, func(t *testing.T, c *copied) {
			testkit.NoError(t, os.RemoveAll(c.path("ca")))
			other := c.dir(t, "other")
			environ := maps.Clone(c.environ)
			environ["CERTPORTAL_DATA"] = other
			var errs bytes.Buffer
			if code := run(t.Context(), []string{"ca", "init"}, streams{strings.NewReader(""), &errs, &errs}, environ); code != exitDone {
				t.Fatal(errs.String())
			}
			testkit.NoError(t, os.Rename(filepath.Join(other, "ca"), c.path("ca")))
		}, nil},
		{"no revocation list", "lists", failed, func(t *testing.T, c *copied) { c.sql(t, "DELETE FROM crls WHERE issuer = 'issuing'") }, nil},
		{"a list that is half over", "lists", warning, func(t *testing.T, c *copied) {
			c.list(t, time.Now().Add(-6*time.Hour), time.Now().Add(4*time.Hour))
		}, nil},
		{"a folder for lists that is gone", "lists", failed, func(t *testing.T, c *copied) { c.set("REVOCATION_FOLDERS", c.path("gone")) }, nil},
		{"a clock that went back", "time", failed, func(t *testing.T, c *copied) {
			c.list(t, time.Now().Add(24*time.Hour), time.Now().Add(96*time.Hour))
		}, nil},
		{"no certificate of the site", "tls", failed, func(t *testing.T, c *copied) { testkit.NoError(t, os.Remove(c.path("tls", "server.crt"))) }, nil},
		{"a certificate for another host", "tls", failed, func(t *testing.T, c *copied) { c.set("PUBLIC_URL", "https://elsewhere.corp.example") }, nil},
		{"a signer of profiles that has ended", "profiles", failed, func(t *testing.T, c *copied) {
			cert, key := endedSigner(t)
			c.set("APPLE_SIGNER_CERTIFICATE", c.file(t, "signer.pem", cert))
			c.set("APPLE_SIGNER_KEY", c.file(t, "signer.key", key))
		}, nil},
		{"a key of the site that others read", "files", failed, func(t *testing.T, c *copied) { testkit.NoError(t, os.Chmod(c.path("tls", "server.key"), 0o644)) }, nil},
		{"a key of the authority that others read", "files", failed, func(t *testing.T, c *copied) { testkit.NoError(t, os.Chmod(c.path("ca", "issuing.key"), 0o644)) }, nil},
		{"a folder that others change", "files", failed, func(t *testing.T, c *copied) { testkit.NoError(t, os.Chmod(c.data, 0o777)) }, nil},
		{"a database that others read", "files", warning, func(t *testing.T, c *copied) {
			testkit.NoError(t, os.Chmod(c.data, 0o755))
			testkit.NoError(t, os.Chmod(c.path("portal.db"), 0o644))
		}, nil},
		{"the passphrase beside the keys", "files", warning, func(t *testing.T, c *copied) {
			testkit.NoError(t, os.Rename(testkit.Must(copyFile(c.environ["CERTPORTAL_CA_PASSPHRASE_FILE"], c.path("beside")))(t), c.path("ca-passphrase")))
			delete(c.environ, "CERTPORTAL_CA_PASSPHRASE_FILE")
		}, nil},
		{"sample people", "demo", warning, func(t *testing.T, c *copied) {
			c.sql(t, "UPDATE accounts SET sid = '"+doctor.SampleSID+"1101'")
		}, nil},
		{"a person without UPN", "refused", warning, func(t *testing.T, c *copied) { c.sql(t, "UPDATE accounts SET upn = ''") }, nil},
		{"a mail server that never answers", "mail", failed, func(t *testing.T, c *copied) { c.setServer(t, "MAIL_", silent(t)) }, nil},
		{"a mail server that is down", "mail", failed, func(t *testing.T, c *copied) { c.setServer(t, "MAIL_", freeAddress(t)) }, nil},
		{"an identity provider that never answers", "identity-provider", failed, func(t *testing.T, c *copied) {
			c.set("OPENID_ISSUER", "https://"+silent(t))
			c.set("OPENID_CLIENT_ID", "portal")
			c.set("OPENID_CLIENT_SECRET_FILE", c.file(t, "openid-secret", "secret"))
		}, nil},
		{"a directory that never answers", "directory", failed, func(t *testing.T, c *copied) { c.setDirectory(t, "ldaps://"+silent(t)) }, nil},
		{"a directory that is down", "directory", failed, func(t *testing.T, c *copied) { c.setDirectory(t, "ldaps://"+freeAddress(t)) }, nil},
		{"domain administrators may enrol", "protected", failed, func(t *testing.T, c *copied) { c.setDirectory(t, "ldaps://"+freeAddress(t)) },
			func(_ *testing.T, c *copied) { c.set("DIRECTORY_INSECURE_ENROLL_PROTECTED", "true") }},
	}
}

func (c *copied) setServer(t *testing.T, prefix, address string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	testkit.NoError(t, err)
	c.set(prefix+"HOST", host)
	c.set(prefix+"PORT", port)
}

func (c *copied) setDirectory(t *testing.T, server string) {
	t.Helper()
	for key, value := range map[string]string{
		"KIND": "active-directory", "DOMAIN": ldapserver.Name, "SERVERS": server, "USER": ldapserver.Reader,
		"PASSWORD_FILE": c.file(t, "directory-password", ldapserver.ReaderPassword),
	} {
		c.set("DIRECTORY_"+key, value)
	}
}

// endedSigner is a certificate with its key, in PEM, that ended yesterday.
func endedSigner(t *testing.T) (cert, key string) {
	t.Helper()
	pair := testkit.Must(ca.ECP256.Generate())(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour)}
	der := testkit.Must(x509.CreateCertificate(rand.Reader, template, template, pair.Public(), pair))(t)
	secret := testkit.Must(x509.MarshalPKCS8PrivateKey(pair))(t)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

func removeDatabase(t *testing.T, c *copied) {
	t.Helper()
	for _, name := range []string{"portal.db", "portal.db-wal", "portal.db-shm"} {
		if err := os.Remove(c.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

func copyFile(from, to string) (string, error) {
	text, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	return to, os.WriteFile(to, text, 0o600)
}

// silent is the address of a server that accepts connections and never answers.
func silent(t *testing.T) string {
	t.Helper()
	l := testkit.Must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
		}
	}()
	return l.Addr().String()
}

// onTheNetwork break the way between the portal, which runs, and its clients.
func onTheNetwork() []brokenWay {
	at := func(prefix string, do http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, prefix) {
				do(w, r)
				return true
			}
			return false
		}
	}
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	text := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<h1>Welcome</h1>")) }
	gone := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }
	return []brokenWay{
		{"lists that never come", "address-crl", true, at("/crl/", hang)},
		{"a page in place of lists", "address-crl", true, at("/crl/", text)},
		{"no answers online", "address-ocsp", true, at("/ocsp", gone)},
		{"another certificate", "address-ca", true, at("/ca/", text)},
		{"another site", "address-site", false, at("/", text)},
		{"a site that never answers", "address-site", false, at("/", hang)},
		{"a proxy that names no client", "address-site", false, func(_ http.ResponseWriter, r *http.Request) bool { return false }},
		{"a proxy that names a word", "address-site", false, func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Set("X-Test-Forwarded", "unknown")
			return false
		}},
	}
}

// TestBrokenInstallationsAreNamed: each is named by one check, which is the right one, and by no
// other.
func TestBrokenInstallationsAreNamed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stop := s.serve(t)
	well := s.examine(t, s.environ)
	for _, tt := range onTheNetwork() {
		t.Run(tt.name, func(t *testing.T) {
			f := s.secure
			if tt.plain {
				f = s.plain
			}
			f.broken.Store(&tt.answer)
			defer f.broken.Store(nil)
			if named := newlyNamed(well, s.examine(t, s.environ)); !maps.Equal(named, map[string]portal.FindingState{tt.check: portal.FindingFailed}) {
				t.Errorf("got %v, want only %s", named, tt.check)
			}
		})
	}
	for name, address := range map[string]string{"a closed port": "http://" + freeAddress(t), "a name that DNS does not know": "http://nowhere.invalid"} {
		environ := maps.Clone(s.environ)
		environ["CERTPORTAL_PUBLIC_HTTP_URL"] = address
		if named := newlyNamed(well, s.examine(t, environ)); !maps.Equal(named, map[string]portal.FindingState{"address-crl": portal.FindingFailed}) {
			t.Errorf("%s: got %v, want only address-crl", name, named)
		}
	}
	want := map[string]portal.FindingState{"names": portal.FindingFailed, "backups": portal.FindingInfo, "demo": portal.FindingInfo} // it is on one machine
	if named := notFine(well); !maps.Equal(named, want) {
		t.Errorf("well: got %v, want %v", named, want)
	}
	stop()
	well = s.examine(t, s.environ)
	if well["running"] != portal.FindingFailed {
		t.Errorf("stopped: %v", well)
	}
	for _, tt := range onDisk() {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			c := &copied{site: &site{folder: folder}, data: filepath.Join(folder, "data"), environ: maps.Clone(s.environ)}
			if out, err := exec.Command("cp", "-a", s.environ["CERTPORTAL_DATA"], c.data).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			c.set("DATA", c.data)
			tt.how(t, c)
			well := well
			if tt.after != nil {
				well = s.examine(t, c.environ)
				tt.after(t, c)
			}
			if named := newlyNamed(well, s.examine(t, c.environ)); !maps.Equal(named, map[string]portal.FindingState{tt.check: tt.state}) {
				t.Errorf("got %v, want only %s", named, tt.check)
			}
		})
	}
}
