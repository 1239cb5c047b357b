package localca

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/audit"
	"certportal/store"
)

// Requested is a new request for the certificate of an issuing CA.
type Requested struct {
	ca.Request
	PassphraseMade bool // a passphrase file was made for its key
}

// RequestAuthority makes the key of an issuing CA and the request for its certificate,
// and records that before it writes them. Nothing that is there changes. An empty
// subject is that of the settings.
func RequestAuthority(ctx context.Context, s *config.Settings, db *store.DB, term *config.Terminal, subject, template string, now time.Time) (Requested, error) {
	return requestAuthority(ctx, s, db, subject, template, now, func(folder *ca.Folder) ([]byte, bool, error) {
		return requestPassphrase(s, term, folder)
	})
}

// requestAuthority is RequestAuthority with a passphrase from elsewhere: a prompt must not be
// asked twice.
func requestAuthority(ctx context.Context, s *config.Settings, db *store.DB, subject, template string, now time.Time, unlock func(*ca.Folder) (secret []byte, made bool, err error)) (Requested, error) {
	dir := s.Path("ca")
	folder, err := ca.OpenFolder(dir)
	switch {
	case NotCreated(err):
		err = refuseSecondCA(ctx, s, db)
	case errors.Is(err, ca.ErrRequested):
		err = nil
	}
	if err != nil {
		return Requested{}, err
	}
	if err := allHere(ctx, db, folder); err != nil {
		return Requested{}, err
	}
	name, err := requestedName(s, folder, subject)
	if err != nil {
		return Requested{}, err
	}
	r := Requested{}
	passphrase, made, err := unlock(folder)
	if err != nil {
		return Requested{}, err
	}
	r.PassphraseMade = made
	defer debug.FreeOSMemory() // 64 MiB for each key that was opened
	ring := keyring{s, passphrase, Tokens(s)}
	defer ring.tokens.Close()
	key, err := ring.requestKey(dir, folder == nil)
	if err != nil {
		return Requested{}, fmt.Errorf("making key: %w", err)
	}
	if r.Request.Request, err = ca.NewRequest(key, ca.RequestConfig{Subject: name, Template: template}); err != nil {
		return Requested{}, discard(err, key)
	}
	err = db.Note(ctx, audit.Entry{
		At: now, Action: audit.CARequested, Actor: "operator", Role: "operator", Object: IssuingName,
		Detail: map[string]string{"subject": name.String(), "key": keyHash(r.Request.Request)},
	})
	if err != nil {
		return Requested{}, discard(fmt.Errorf("recording the request: %w", err), key)
	}
	r.Name, err = ca.AddRequest(dir, r.Request.Request, key, passphrase)
	return r, err
}

// requestKey makes the key of a request. It may be that of the first issuing CA, which in a
// token needs a secret key beside it.
func (k keyring) requestKey(dir string, first bool) (crypto.Signer, error) {
	if first && k.settings.CA.PKCS11.IssuingToken != "" {
		if err := k.ensureSecret(dir); err != nil {
			return nil, err
		}
	}
	key, err := k.inToken(IssuingName, k.settings.CA.IssuingKey)
	if key != nil || err != nil {
		return key, err
	}
	return k.settings.CA.IssuingKey.Generate()
}

// allHere refuses a folder that lacks an issuing CA of the records: a new one would get its
// name.
func allHere(ctx context.Context, db *store.DB, folder *ca.Folder) error {
	records, err := db.Authorities(ctx)
	if err != nil {
		return err
	}
	for _, r := range records {
		if folder == nil {
			return fmt.Errorf("the records know the issuing CA %s, whose files are not in this folder: copy them from another replica or a backup", r.Name)
		}
		if of, ok := folder.Authority(r.Name); !ok || sha256.Sum256(of.Certificate.Raw) != r.Fingerprint {
			return fmt.Errorf("the files of the issuing CA %s are not in this folder: copy them from another replica or a backup first", r.Name)
		}
	}
	return nil
}

// keyHash is the SHA-256 of the public key of a request.
func keyHash(r *x509.CertificateRequest) string {
	sum := sha256.Sum256(r.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// requestedName is the subject that was asked for, else that of the settings, else one
// made of the company's name that no issuing CA has.
func requestedName(s *config.Settings, folder *ca.Folder, subject string) (pkix.RDNSequence, error) {
	if subject == "" {
		subject = s.CA.Subject
	}
	if subject != "" {
		name, err := ca.ParseCAName(subject)
		if err == nil && nameTaken(folder, name) {
			err = fmt.Errorf("subject %q is the name of an issuing CA that is there: programs tell CAs apart by their names, "+
				"give another with --subject", subject)
		}
		return name, err
	}
	for n := 1; ; n++ {
		common := s.Organization + " Issuing CA"
		if n > 1 {
			common = fmt.Sprintf("%s %d", common, n)
		}
		name, err := ca.ParseCAName(fmt.Sprintf("CN=%s,O=%s", ca.EscapeName(common), ca.EscapeName(s.Organization)))
		if err != nil {
			return nil, fmt.Errorf("no name of a CA can be made of organization, give one with --subject: %w", err)
		}
		if !nameTaken(folder, name) {
			return name, nil
		}
	}
}

// nameTaken reports whether an issuing CA has the name.
func nameTaken(folder *ca.Folder, name pkix.RDNSequence) bool {
	var wanted pkix.Name
	wanted.FillFromRDNSequence(&name)
	return folder != nil && slices.ContainsFunc(folder.Authorities(), func(a ca.Authority) bool {
		return strings.EqualFold(a.Certificate.Subject.String(), wanted.String())
	})
}

// requestPassphrase gives the passphrase of a new key: that of the CA's other keys, which
// is tried on one of them, or a new one where there is none.
func requestPassphrase(s *config.Settings, term *config.Terminal, folder *ca.Folder) ([]byte, bool, error) {
	if folder != nil {
		secret, err := passphrase(s, term)
		if err == nil {
			err = keyring{s, secret, Tokens(s)}.opensOne(s.Path("ca"), folder.IssuingKey)
		}
		return secret, false, err
	}
	pending, err := ca.PendingRequests(s.Path("ca"))
	if err != nil || len(pending) == 0 {
		secret, made, err2 := newPassphrase(s, term)
		return secret, made, errors.Join(err, err2)
	}
	secret, err := passphrase(s, term)
	if err == nil {
		err = keyring{s, secret, Tokens(s)}.opensOne(s.Path("ca"), func(keys ca.Opener) (crypto.Signer, error) {
			return ca.RequestKey(s.Path("ca"), pending[0], keys)
		})
	}
	return secret, false, err
}
