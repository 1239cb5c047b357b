package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

// access is who else may have what rights on a file.
type access struct {
	readers bool // others may read it; group members may always
	private bool // group members may not read it either
}

// CheckPermissions refuses files that other accounts of the machine can change, and
// secrets that they can read: an account that changes a key, the database or the settings
// decides who gets a certificate. The error holds the command that repairs it. root may own
// everything; running as root, the portal does not ask who owns a file, as containers
// mount folders of other accounts.
//
// A database or a journal that is readable is no mistake here, so that a portal goes on
// after an update: see [Settings.ReadableRecords]. Windows is left out, it has access lists.
func (s *Settings) CheckPermissions() error {
	errs := []error{checkFolder(s.Data), checkFolder(s.Path("ca"))}
	for _, name := range []string{"portal.db", "portal.db-wal", "portal.db-shm", "portal.lock", "ca/root.crt", "ca/issuing.crt"} {
		errs = append(errs, checkOwn(s.Path(filepath.FromSlash(name)), access{readers: true}))
	}
	errs = append(errs, checkOwn(s.JournalFile(), access{readers: true}))
	for _, secret := range append(s.caKeys(), s.DefaultPassphraseFile(), s.Path("tls", "server.key"), s.Path("tls", "acme.pem"), s.Path("tls", "acme-account.key"), s.Path("people.json"), s.Path("before-upgrade.key")) {
		errs = append(errs, checkOwn(secret, access{private: true}))
	}
	for key, file := range map[string]string{"tls.key": s.TLS.Key, "apple.signer_key": s.Apple.SignerKey} {
		errs = append(errs, named(key, checkNamed(file, access{})))
	}
	for key, file := range map[string]string{
		"tls.certificate": s.TLS.Certificate, "apple.signer_certificate": s.Apple.SignerCertificate, "ca.pkcs11.module": s.CA.PKCS11.Module,
	} {
		errs = append(errs, named(key, checkNamed(file, access{readers: true})))
	}
	return errors.Join(append(errs, s.checkUpstreamPermissions())...)
}

// checkUpstreamPermissions checks the files that decide which certificates of other CAs count,
// and which host may say that they are revoked.
func (s *Settings) checkUpstreamPermissions() error {
	var errs []error
	for i, u := range s.Upstreams {
		for _, f := range []struct{ key, file string }{
			{"chain", u.Chain}, {"server_ca_file", u.ServerCAFile}, {"certificate", u.Certificate},
			{"agent_certificate", u.AgentCertificate}, {"krb5_config_file", u.Krb5ConfigFile}, {"revoker_certificate", u.RevokerCertificate},
		} {
			errs = append(errs, named(fmt.Sprintf("upstreams[%d].%s", i, f.key), checkNamed(f.file, access{readers: true})))
		}
	}
	return errors.Join(errs...)
}

// ReadableRecords gives the files of the database that every account of the machine can
// read: they hold names, and with the built-in directory password hashes that can be
// guessed. Members of their group may read them, for backups.
func (s *Settings) ReadableRecords() []string {
	folder, err := os.Stat(s.Data)
	if err != nil || folder.Mode().Perm()&0o001 == 0 {
		return nil // other accounts do not get into the folder
	}
	var open []string
	for _, name := range []string{"portal.db", "portal.db-wal", "portal.db-shm"} {
		info, err := os.Lstat(s.Path(name))
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if _, _, known := ownerOf(info); known && info.Mode().Perm()&0o004 != 0 {
			open = append(open, s.Path(name))
		}
	}
	return open
}

// caKeys are the files of the CA's keys and of the installation's secret.
func (s *Settings) caKeys() []string {
	names, err := os.ReadDir(s.Path("ca"))
	if err != nil {
		return nil // there is no CA yet, or its folder is reported above
	}
	var keys []string
	for _, n := range names {
		if filepath.Ext(n.Name()) == ".key" {
			keys = append(keys, s.Path("ca", n.Name()))
		}
	}
	return keys
}

func named(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", key, err)
}

// checkFolder checks a folder of the portal. It may be a symbolic link, as systemd makes
// for DynamicUser: what it leads to counts.
func checkFolder(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("checking who may change %s: %w", path, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no folder: move it away", path)
	}
	return checkAccess(path, info, access{readers: true}, 0o700)
}

// checkOwn checks a file that the portal makes itself. A symbolic link in its place would
// have it read or write a file of another account's choice.
func checkOwn(path string, a access) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("checking who may change %s: %w", path, err)
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("%s is a symbolic link: put the file itself there: cp --remove-destination \"$(readlink -f %s)\" %s", path, path, path)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file: move it away", path)
	}
	return checkAccess(path, info, a, 0o600)
}

// checkNamed checks a file that the settings name, where it may be a symbolic link. A
// missing one is reported elsewhere.
func checkNamed(path string, a access) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return checkAccess(path, info, a, 0o640)
}

// standing is how a file and this process stand to each other.
type standing struct {
	account, owner int
	inGroup        bool // the process is in the group of the file
	mode           fs.FileMode
}

// checkAccess checks owner and mode of a file. own is the mode that is right for it.
func checkAccess(path string, info fs.FileInfo, a access, own fs.FileMode) error {
	owner, inGroup, ok := ownerOf(info)
	if !ok {
		return nil
	}
	return judge(path, standing{account(), owner, inGroup, info.Mode()}, a, own)
}

func judge(path string, f standing, a access, own fs.FileMode) error {
	mode := f.mode.Perm()
	// A volume of a container is a folder of root's that the account writes by its group.
	volume, repair := f.owner == 0 && f.inGroup && f.mode.IsDir(), "go-w"
	if volume {
		repair = "o-w"
	}
	switch {
	case f.owner != f.account && f.owner != 0 && f.account != 0:
		return fmt.Errorf("%s is owned by account %d, and the portal runs as %d: the owner could change it: chown -R %d %s",
			path, f.owner, f.account, f.account, path)
	case a.private && mode&0o077 != 0, !a.readers && mode&0o004 != 0:
		return fmt.Errorf("%s can be read by other users: chmod %o %s", path, own, path)
	case mode&0o002 != 0:
		return fmt.Errorf("%s can be changed by every account: chmod %s %s", path, repair, path)
	case mode&0o020 != 0 && !volume:
		return fmt.Errorf("%s can be changed by its group: chmod g-w %s", path, path)
	}
	return nil
}

// checkSettingsFile refuses a file of settings that every account can change, or read
// when it holds the password of the database.
func checkSettingsFile(file, database string) error {
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("checking who may change the settings: %w", err)
	}
	if _, _, ok := ownerOf(info); !ok || !info.Mode().IsRegular() {
		return nil
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("it can be changed by every account: chmod o-w %s", file)
	}
	u, err := url.Parse(database)
	if err != nil || u.User == nil {
		return nil
	}
	if _, holds := u.User.Password(); holds && info.Mode().Perm()&0o004 != 0 {
		return fmt.Errorf("it holds the password of the database and can be read by every account: chmod o-r %s, or use database_file", file)
	}
	return nil
}
