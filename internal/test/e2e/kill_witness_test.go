package e2e

import (
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"certportal/ca"
	"certportal/internal/test/testkit"
)

// witness is the program that notes what the keys of the CA sign, and dies at named steps.
var witness = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(binary), "certportal-witness")
	build := exec.Command("go", "build", "-tags", "witness", "-o", path, "certportal/cmd/certportal")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building: %w\n%s", err, out)
	}
	return path, nil
})

// startWitnessed runs a demo with EC keys whose signatures are noted.
func startWitnessed(t *testing.T) *demo {
	t.Helper()
	d := &demo{t: t, dir: t.TempDir(), program: testkit.Must(witness())(t)}
	testkit.NoError(t, os.Mkdir(d.notes(), 0o700))
	d.args = []string{"demo", "--listen", "127.0.0.1:0", "--data", d.dir}
	d.start(d.witnessed("CERTPORTAL_CA_ROOT_KEY=ec-p256", "CERTPORTAL_CA_ISSUING_KEY=ec-p256")...)
	t.Cleanup(func() { d.stop(syscall.SIGTERM) })
	return d
}

// notes is the folder of the witness, beside that of the portal.
func (d *demo) notes() string { return d.dir + "-notes" }

// witnessed is the environment of a portal whose signatures are noted.
func (d *demo) witnessed(more ...string) []string {
	return append(more, "CERTPORTAL_CERTIFICATES_KEY=ec-p256", "CERTPORTAL_CERTIFICATES_DEVICES=1000", "WITNESS_FOLDER="+d.notes())
}

// keepAddresses has the next start use the addresses of this one.
func (d *demo) keepAddresses() {
	d.args = []string{"demo", "--listen", strings.TrimPrefix(d.https, "https://"), "--listen-http", strings.TrimPrefix(d.http, "http://"), "--data", d.dir}
}

// checkWitness compares what the keys signed with what was recorded: all that was signed was
// reserved before, under one serial once, and nothing is stored that was not signed. It
// returns the number of signed certificates.
func (d *demo) checkWitness(reserved map[string]int) int {
	d.t.Helper()
	signed, serials, own := map[string]bool{}, map[string]bool{}, d.authorities()
	for _, file := range testkit.Must(os.ReadDir(d.notes()))(d.t) {
		tbs := testkit.Must(os.ReadFile(filepath.Join(d.notes(), file.Name())))(d.t)
		if fmt.Sprintf("%x", sha256.Sum256(tbs)) != file.Name() {
			continue // killed while it was noted: the key was not used
		}
		serial, ok := serialOfTBS(tbs)
		if !ok {
			continue // a list
		}
		signed[file.Name()] = true
		if serials[serial] {
			d.t.Errorf("serial %s was signed twice", serial)
		}
		serials[serial] = true
		if reserved[serial] != 1 && !own[serial] {
			d.t.Errorf("serial %s was signed, and reserved %d times", serial, reserved[serial])
		}
	}
	d.checkSigned(signed)
	return len(serials)
}

// authorities are the serials of the CAs themselves, which are files and no rows.
func (d *demo) authorities() map[string]bool {
	d.t.Helper()
	folder := testkit.Must(ca.OpenFolder(filepath.Join(d.dir, "ca")))(d.t)
	serials := map[string]bool{}
	for _, cert := range []*x509.Certificate{folder.Root(), folder.Issuing()} {
		serials[testkit.Must(ca.SerialOf(cert.SerialNumber))(d.t).String()] = true
	}
	return serials
}

// checkSigned holds that each stored certificate is among those that the keys signed.
func (d *demo) checkSigned(signed map[string]bool) {
	d.t.Helper()
	db := testkit.Must(sql.Open("sqlite", filepath.Join(d.dir, "portal.db")))(d.t)
	defer db.Close()
	rows := testkit.Must(db.Query("SELECT der FROM certificates WHERE der IS NOT NULL"))(d.t)
	defer rows.Close()
	for rows.Next() {
		var der []byte
		testkit.NoError(d.t, rows.Scan(&der))
		cert := testkit.Must(x509.ParseCertificate(der))(d.t)
		if !signed[fmt.Sprintf("%x", sha256.Sum256(cert.RawTBSCertificate))] {
			d.t.Errorf("serial %x is stored, and no key signed it", cert.SerialNumber)
		}
	}
	testkit.NoError(d.t, rows.Err())
}

// serialOfTBS reads the serial of a TBSCertificate; false for a list.
func serialOfTBS(tbs []byte) (string, bool) {
	input, inner := cryptobyte.String(tbs), cryptobyte.String(nil)
	number := new(big.Int)
	if !input.ReadASN1(&inner, asn1.SEQUENCE) || !inner.SkipASN1(asn1.Tag(0).ContextSpecific().Constructed()) || !inner.ReadASN1Integer(number) {
		return "", false
	}
	serial, err := ca.SerialOf(number)
	return serial.String(), err == nil
}

// TestF1_KilledAtNamedSteps has the program end itself at each of 14 steps of an enrolment, once,
// 20 times in long tests. The same holds as after a kill at any time.
func TestF1_KilledAtNamedSteps(t *testing.T) {
	slow(t)
	var steps []string
	for _, act := range []string{"admit", "reserve", "complete", "device", "pickup", "claim", "confirm"} {
		steps = append(steps, "before-"+act, "after-"+act)
	}
	d := startWitnessed(t)
	c := d.visitor()
	d.signIn(c, d.person("employee"))
	d.keepAddresses()
	got := &received{certs: map[ca.Serial][]byte{}}
	d.stop(syscall.SIGTERM)
	for n := range testkit.Either(t, 1, 20) {
		for _, step := range steps {
			d.start(d.witnessed("WITNESS_DEATH=" + step)...)
			c.CloseIdleConnections()
			if der, serial, ok := d.tryEnrol(t.Context(), c, fmt.Sprint(step, "-", n)); ok {
				got.add(serial, der)
			}
			d.diesAt(step)
		}
		d.start(d.witnessed()...)
		d.removeAll(c)
		d.stop(syscall.SIGTERM)
	}
	d.start(d.witnessed()...) // clears up
	d.stop(syscall.SIGTERM)
	got.check(t, d)
}

// diesAt waits until the program killed itself.
func (d *demo) diesAt(step string) {
	d.t.Helper()
	_ = d.cmd.Wait()
	if state := d.cmd.ProcessState.Sys().(syscall.WaitStatus); state.Signal() != syscall.SIGKILL {
		d.t.Fatalf("%s: ended with %v", step, d.cmd.ProcessState)
	}
	_ = d.log.Close()
	d.cmd = nil
}

// TestA20_NoWitnessInTheProgram: what notes signatures for the tests, and ends the program at
// named steps, is in no other program.
func TestA20_NoWitnessInTheProgram(t *testing.T) {
	for path, want := range map[string]bool{binary: false, testkit.Must(witness())(t): true} {
		symbols := testkit.Must(exec.Command("go", "tool", "nm", path).Output())(t)
		content := testkit.Must(os.ReadFile(path))(t)
		for _, text := range []string{"ca/witness.Point", "app.steps"} {
			if strings.Contains(string(symbols), text) != want {
				t.Errorf("%s: has %s: %v, want %v", path, text, !want, want)
			}
		}
		if strings.Contains(string(content), "WITNESS_FOLDER") != want {
			t.Errorf("%s: reads WITNESS_FOLDER: %v, want %v", path, !want, want)
		}
	}
}
