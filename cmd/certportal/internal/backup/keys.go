package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

// MinPassphrase is the length of the shortest passphrase that a backup is made with.
const MinPassphrase = 12

// maxWorkFactor bounds the memory that a file makes scrypt take: 1 GiB.
const maxWorkFactor = 20

// Seal is what a backup is encrypted to: a passphrase, or recipients of age.
type Seal struct {
	Passphrase string
	Recipients []string

	// WorkFactor is the logarithm of scrypt's N. Optional: the default of age, 18.
	WorkFactor int
}

func (s Seal) recipients() ([]age.Recipient, error) {
	if s.Passphrase != "" && len(s.Recipients) > 0 {
		return nil, errors.New("choose a passphrase or recipients: age does not mix them")
	}
	if s.Passphrase != "" {
		if len(s.Passphrase) < MinPassphrase {
			return nil, fmt.Errorf("passphrase of the backup: use %d characters or more", MinPassphrase)
		}
		r, err := age.NewScryptRecipient(s.Passphrase)
		if err == nil && s.WorkFactor > 0 {
			r.SetWorkFactor(s.WorkFactor)
		}
		return []age.Recipient{r}, err
	}
	var all []age.Recipient
	for _, text := range s.Recipients {
		r, err := age.ParseRecipients(bytes.NewReader([]byte(text)))
		if err != nil {
			return nil, fmt.Errorf("recipient %q: %w", text, err)
		}
		all = append(all, r...)
	}
	if len(all) == 0 {
		return nil, errors.New("a backup holds all names and the CA's keys: give a passphrase or a recipient")
	}
	return all, nil
}

// Key opens a backup: a passphrase, or the text of a file with identities of age.
type Key struct {
	Passphrase string
	Identities []byte
}

func (k Key) identities() ([]age.Identity, error) {
	if k.Passphrase != "" {
		i, err := age.NewScryptIdentity(k.Passphrase)
		if err != nil {
			return nil, err
		}
		i.SetMaxWorkFactor(maxWorkFactor)
		return []age.Identity{i}, nil
	}
	if len(k.Identities) == 0 {
		return nil, errors.New("give the passphrase or the identity of the backup")
	}
	all, err := age.ParseIdentities(bytes.NewReader(k.Identities))
	if err != nil {
		return nil, fmt.Errorf("reading identities: %w", err)
	}
	return all, nil
}

// magic begins every file of age.
const magic = "age-encryption.org/v1"

// source counts what is read of a file, to say where it is damaged.
type source struct {
	r     io.Reader
	begin []byte
	read  int64
	ended bool
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.read += int64(n)
	if room := len(magic) - len(s.begin); room > 0 {
		s.begin = append(s.begin, p[:min(n, room)]...)
	}
	s.ended = s.ended || errors.Is(err, io.EOF)
	return n, err
}

// unseal decrypts a backup. Its errors are those of a reader of a backup.
func unseal(r io.Reader, key Key) (io.Reader, error) {
	identities, err := key.identities()
	if err != nil {
		return nil, err
	}
	from := &source{r: r}
	plain, err := age.Decrypt(from, identities...)
	var none *age.NoIdentityMatchError
	switch {
	case err == nil:
		return &authentic{plain, from}, nil
	case string(from.begin) != magic[:min(len(magic), len(from.begin))] || from.read == 0:
		return nil, fmt.Errorf("%w: it is not encrypted by age", ErrForeign)
	case errors.As(err, &none) || errors.Is(err, age.ErrIncorrectIdentity):
		return nil, ErrKey
	}
	return nil, fmt.Errorf("%w in its first bytes: take another copy: %w", ErrDamaged, err)
}

// authentic gives the errors of decryption a meaning.
type authentic struct {
	r    io.Reader
	from *source
}

// Read implements io.Reader.
func (a *authentic) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return n, err
	case a.from.ended:
		return n, fmt.Errorf("%w: it is cut off after %d bytes, or changed near its end: take another copy: %w", ErrDamaged, a.from.read, err)
	}
	return n, fmt.Errorf("%w: it was changed at about byte %d: take another copy: %w", ErrDamaged, a.from.read, err)
}
