package runbook

import (
	"os"
	"slices"
	"strings"
	"testing"

	"certportal/internal/test/testkit"
)

// TestRunbooks breaks a portal in each way that docs/runbooks.md is about, and runs the lines
// of that section.
func TestRunbooks(t *testing.T) {
	m := newMachine(t)
	m.setUp()
	played := []string{""}
	play := func(section string, test func(t *testing.T, m *machine, blocks func(int) string)) {
		played = append(played, section)
		t.Run(section, func(t *testing.T) {
			m.t = t
			test(t, m, func(i int) string { return m.section(section, i) })
		})
		if t.Failed() {
			t.FailNow() // the next section needs a portal that works
		}
	}
	play("The database is lost or damaged", lostDatabase)
	play("The folder of the CA is lost", lostCA)
	play("A backup is stolen", stolenBackup)
	play("A list has ended", endedList)
	play("The clock was wrong", wrongClock)
	play("The disk is full", fullDisk)
	play("The passphrase of the CA is lost", lostPassphrase)
	for section := range m.sections {
		if !slices.Contains(played, section) {
			t.Errorf("section %q is not tried", section)
		}
	}
}

// lostDatabase loses the file after a certificate was revoked that the backup has as good.
func lostDatabase(t *testing.T, m *machine, block func(int) string) {
	serial := m.certificates("--status working")[0].Serial
	m.run("$CP revoke --serial " + serial + " --reason lost --comment test --yes")
	m.run("systemctl stop certportal") // and the journal has it
	testkit.NoError(t, os.Truncate(m.root+"/var/lib/certportal/portal.db", 4096))
	testkit.Contains(t, "restore", block(0), "Issuing is stopped")
	block(1)
	if got := m.certificates("--serial " + serial); len(got) != 1 || got[0].Status != "blocked" {
		t.Errorf("the certificate that was revoked after the backup: %+v", got)
	}
	block(2)
}

// lostCA deletes the folder: the portal does not start until it is back, and its CA is the same.
func lostCA(t *testing.T, m *machine, block func(int) string) {
	before := m.root256()
	m.run("systemctl stop certportal")
	testkit.NoError(t, os.RemoveAll(m.root+"/var/lib/certportal/ca"))
	if out, err := m.try("systemctl start certportal"); err == nil {
		t.Fatalf("started without a CA:\n%s", out)
	}
	m.run(`rm "$RUN/pid"`)
	block(0)
	testkit.Equal(t, "root", m.root256(), before)
}

// stolenBackup ends with one backup, which the new passphrase opens and the old one does not.
func stolenBackup(t *testing.T, m *machine, block func(int) string) {
	m.run("cp /etc/certportal/backup-passphrase /var/tmp/old")
	block(0)
	testkit.Equal(t, "backups", m.backups(), 1)
	if out, err := m.try(`certportal backup verify "$(newest)" --passphrase-file /var/tmp/old`); err == nil {
		t.Errorf("the old passphrase opens the new backup:\n%s", out)
	}
}

// endedList runs both lines with the root's key in a safe.
func endedList(t *testing.T, m *machine, block func(int) string) {
	m.run("with_ca ca export-root-key --to /media/safe/root.key < /etc/certportal/ca-passphrase")
	testkit.Contains(t, "lists", block(0), "issuing")
	testkit.Contains(t, "lists", block(1), "root")
	if _, err := os.Stat(m.root + "/var/lib/certportal/ca/root.key"); err == nil {
		t.Error("the root's key is still on the machine")
	}
}

func wrongClock(t *testing.T, _ *machine, block func(int) string) {
	testkit.Contains(t, "doctor", block(0), "Clock")
}

// fullDisk leaves three of five backups.
func fullDisk(t *testing.T, m *machine, block func(int) string) {
	for m.backups() < 5 {
		m.run(`cp "$(newest)" "$(newest).` + strings.Repeat("x", m.backups()) + `.age"`)
	}
	block(0)
	testkit.Equal(t, "backups", m.backups(), 3)
}

// lostPassphrase finds the copy in the safe, and then loses that one too.
func lostPassphrase(t *testing.T, m *machine, block func(int) string) {
	before := m.root256()
	m.run("mv /etc/certportal/ca-passphrase /media/safe/ca-passphrase")
	block(0)
	if out, err := m.try("$CP health --ready"); err == nil {
		t.Errorf("ready with another passphrase:\n%s", out)
	}
	blocks := m.sections["The passphrase of the CA is lost"]
	wrong := strings.Replace(blocks[1], "/media/safe/", "/etc/certportal/", 1)
	if out, err := m.try(wrong); err == nil || !strings.Contains(out, "wrong passphrase") {
		t.Errorf("a list with another passphrase: %v\n%s", err, out)
	}
	m.run(blocks[1] + "\n" + blocks[2])
	testkit.Equal(t, "root", m.root256(), before)
	block(3)
	if m.root256() == before {
		t.Error("the new CA has the old root")
	}
}
