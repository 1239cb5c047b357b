package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"certportal/ca"
	"certportal/internal/test/power"
	"certportal/internal/test/testkit"
)

// startOnVolume runs a demo whose folder is on a disk that forgets, with EC keys. Its signatures
// are noted on a disk that does not.
func startOnVolume(t *testing.T) (*powered, *power.Volume) {
	t.Helper()
	d := &demo{t: t, dir: filepath.Join(t.TempDir(), "data"), program: testkit.Must(witness())(t)}
	testkit.NoError(t, os.Mkdir(d.notes(), 0o700))
	v := power.NewVolume(t, d.dir)
	d.args = []string{"demo", "--listen", "127.0.0.1:0", "--data", d.dir}
	d.start(d.witnessed("CERTPORTAL_CA_ROOT_KEY=ec-p256", "CERTPORTAL_CA_ISSUING_KEY=ec-p256")...)
	t.Cleanup(func() { d.stop(syscall.SIGTERM) })
	return &powered{demo: d, revoked: map[string]bool{}, numbers: map[int64][]byte{}}, v
}

// verify holds that the audit log is whole before the portal starts.
func (p *powered) verify() {
	p.t.Helper()
	cmd := exec.Command(p.program, "audit", "verify", "--data", p.dir)
	cmd.Env = testkit.Environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Errorf("the audit log is not whole: %v\n%s", err, out)
	}
}

// TestF16_PowerLoss cuts the power of a disk and of the kernel's memory for it, 200 times in
// "scripts/test long", while clients enrol and one revokes without pause. What the disk was not
// asked to flush is lost, wholly or in part. All that clients received and that was confirmed to
// them is stored, every certificate was recorded before it was signed, numbers of lists never go
// back, and the audit log and the journal are whole.
func TestF16_PowerLoss(t *testing.T) {
	inLong(t)
	p, volume := startOnVolume(t)
	c := p.visitor()
	p.signIn(c, p.person("employee"))
	cycles := testkit.Times(t, 40)
	got := &received{certs: map[ca.Serial][]byte{}}
	p.keepAddresses()
	for cycle := range cycles {
		got.news = make(chan struct{}, 1000)
		ctx, cancel := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for i := range 4 {
			clients.Go(func() { p.enrolUntil(ctx, c, got, fmt.Sprintf("%d-%d", cycle, i)) })
		}
		clients.Go(func() { p.revokeUntil(ctx, c, got) })
		got.moment(t, p.demo, cycle+1)
		volume.Cut(power.Loss(cycle%3), func() { p.stop(syscall.SIGKILL) })
		cancel()
		clients.Wait()
		c.CloseIdleConnections()
		p.verify()
		p.start(p.witnessed()...)
		p.checkList(t.Context())
	}
	p.stop(syscall.SIGTERM)
	got.check(t, p.demo)
	p.checkRecords()
	disk := volume.Disk
	t.Logf("%d power losses: %d sectors of 512 octets lost, %d kept; %d lists seen, %d confirmed revocations",
		cycles, disk.Lost, disk.Kept, len(p.numbers), len(p.revoked))
	if disk.Lost == 0 {
		t.Error("no write was lost: the test did not test")
	}
}
