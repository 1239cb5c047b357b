package config

import (
	"errors"
	"strings"
	"time"

	"filippo.io/age"
)

// BackupSettings say which backups the portal makes by itself. "certportal backup" makes
// one at any time.
type BackupSettings struct {
	// Folder for backups that the portal makes by itself, best on a disk of another
	// machine; each replica needs its own. Empty: it makes none.
	Folder string `yaml:"folder"`

	// Time between two of them.
	Every time.Duration `yaml:"every"`

	// How many of the newest stay in the folder.
	Keep int `yaml:"keep"`

	// File with the passphrase that encrypts them. Keep a copy of it elsewhere.
	PassphraseFile string `yaml:"passphrase_file"`

	// Public keys of age to encrypt to instead, so that this machine cannot read its
	// backups: age1…
	Recipients []string `yaml:"recipients"`

	// Whether one is made before a new version changes the tables of the database: in the
	// folder, or without one in the data folder, readable with before-upgrade.key beside it.
	// Three of these stay. When it cannot be made, the portal does not start and the database
	// stays as it was.
	BeforeUpgrade bool `yaml:"before_upgrade"`
}

func defaultBackup() BackupSettings {
	return BackupSettings{Every: 24 * time.Hour, Keep: 14, BeforeUpgrade: true}
}

// checkBackup finds mistakes in the backups that the portal makes.
func (s *Settings) checkBackup() error {
	b := s.Backup
	var errs []error
	if b.Every < time.Hour || b.Every > Days(31) {
		errs = append(errs, mistake("backup.every", b.Every, "choose 1h to 744h, such as 24h"))
	}
	if b.Keep < 1 || b.Keep > 10_000 {
		errs = append(errs, mistake("backup.keep", b.Keep, "choose 1 to 10000"))
	}
	for _, text := range b.Recipients {
		if _, err := age.ParseRecipients(strings.NewReader(text)); err != nil {
			errs = append(errs, mistake("backup.recipients", text, "write a public key of age, such as age-keygen prints: age1…"))
		}
	}
	if b.Folder != "" && (b.PassphraseFile == "") == (len(b.Recipients) == 0) {
		errs = append(errs, errors.New("backup: name a passphrase_file or recipients, and not both"))
	}
	return errors.Join(errs...)
}
