package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"filippo.io/age"

	"certportal/internal/durable"
)

const (
	// KeptBefore is how many backups of before an upgrade stay in a folder.
	KeptBefore = 3

	// BeforeKey is the file in the data folder with the private key of age that opens backups
	// of before an upgrade, where the settings name no other key.
	BeforeKey = "before-upgrade.key"
)

// MakeBefore makes the backup of before the schema is brought up to a version, and removes
// older ones of that kind but the newest. It does not count as a backup in [ReadLast]:
// another machine may have none.
func MakeBefore(ctx context.Context, from Source, folder string, to int64, seal Seal) (string, Report, error) {
	recipients, err := seal.recipients()
	if err != nil {
		return "", Report{}, err
	}
	lock, err := from.lock()
	if err != nil {
		return "", Report{}, err
	}
	defer lock.Close()
	name := fmt.Sprintf("certportal-before-schema-%d-%s.tar.age", to, from.Now().UTC().Format("2006-01-02T150405.000Z"))
	path := filepath.Join(folder, name)
	report, err := from.into(ctx, path, recipients)
	if err != nil {
		return "", Report{}, err
	}
	return path, report, pruneBefore(folder, name)
}

// pruneBefore removes all backups of before an upgrade but the newest, of which the one just
// made counts as one.
func pruneBefore(folder, made string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("looking for old backups: %w", err)
	}
	named := regexp.MustCompile(`^certportal-before-schema-\d+-(\d{4}-\d{2}-\d{2}T\d{6}\.\d{3}Z)\.tar\.age$`)
	names := make(map[string]string) // by time
	var times []string
	for _, e := range entries {
		if m := named.FindStringSubmatch(e.Name()); m != nil && e.Type().IsRegular() && e.Name() != made {
			names[m[1]], times = e.Name(), append(times, m[1])
		}
	}
	slices.Sort(times)
	for _, at := range times[:max(0, len(times)+1-KeptBefore)] {
		if err := os.Remove(filepath.Join(folder, names[at])); err != nil {
			return fmt.Errorf("removing an old backup: %w", err)
		}
	}
	return nil
}

// OwnSeal encrypts to a key in the data folder, which it makes at the first time. Such a
// backup is protected as the database is: by the rights of the data folder.
func OwnSeal(data string) (Seal, error) {
	path := filepath.Join(data, BeforeKey)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = makeKey(path)
	}
	if err != nil {
		return Seal{}, err
	}
	identities, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil {
		return Seal{}, fmt.Errorf("reading %s: %w", path, err)
	}
	own, ok := identities[0].(*age.X25519Identity)
	if !ok {
		return Seal{}, fmt.Errorf("reading %s: it is no key of age-keygen", path)
	}
	return Seal{Recipients: []string{own.Recipient().String()}}, nil
}

func makeKey(path string) ([]byte, error) {
	made, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	text := fmt.Appendf(nil, "# opens backups of before an upgrade in this folder, made %s\n# public key: %s\n%s\n",
		time.Now().UTC().Format(time.RFC3339), made.Recipient(), made)
	err = durable.Create(path, text, 0o600)
	if errors.Is(err, fs.ErrExist) { // another program made it now
		return os.ReadFile(path)
	}
	return text, err
}
