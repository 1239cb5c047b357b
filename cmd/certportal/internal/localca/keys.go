package localca

import (
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/hsm"
	"certportal/internal/portal"
)

// keyring opens the keys of the CA's folder, encrypted ones and those in tokens, and makes
// new ones.
type keyring struct {
	settings   *config.Settings
	passphrase []byte
	tokens     *hsm.Tokens
}

// Tokens describes the tokens of the settings; it opens none.
func Tokens(s *config.Settings) *hsm.Tokens {
	p := s.CA.PKCS11
	c := hsm.Config{Module: p.Module}
	type holder struct{ label, file, credential, setting string }
	list := []holder{
		{p.IssuingToken, p.IssuingPINFile, config.IssuingPIN, "ca.pkcs11.issuing_pin_file"},
		{p.RootToken, p.RootPINFile, config.RootPIN, "ca.pkcs11.root_pin_file"},
	}
	for _, one := range s.UpstreamTokens() {
		list = append(list, holder{one.Token, one.File, "", one.Setting})
	}
	for _, one := range list {
		if one.label == "" || slices.ContainsFunc(c.Tokens, func(t hsm.TokenConfig) bool { return t.Label == one.label }) {
			continue
		}
		named := one.file
		if named == "" {
			named = "the credential " + one.credential
		}
		c.Tokens = append(c.Tokens, hsm.TokenConfig{Label: one.label, PINFile: named, PIN: func() ([]byte, error) {
			return config.Credential(one.file, one.credential, one.setting)
		}})
	}
	return hsm.New(c)
}

// OpenKey opens the key of a key file.
func (k keyring) OpenKey(file []byte) (crypto.Signer, error) {
	if !hsm.IsReference(file) {
		return ca.DecryptKey(file, k.passphrase)
	}
	key, err := k.tokens.Open(file)
	if err != nil {
		return nil, err // no nil of another type in the interface
	}
	return key, nil
}

// inToken makes the key of the root or of an issuing CA in the token of the settings. It
// gives nil where such keys are in files.
func (k keyring) inToken(name string, kind ca.KeyKind) (crypto.Signer, error) {
	p := k.settings.CA.PKCS11
	token := p.IssuingToken
	if name == RootName {
		token = p.RootToken
	}
	if token == "" {
		return nil, nil
	}
	key, err := k.tokens.Create(token, p.Label+" "+name, kind)
	if err != nil {
		return nil, err
	}
	return key, nil
}

// discard removes keys that nothing uses from their tokens, because of an error.
func discard(cause error, keys ...crypto.Signer) error {
	for _, key := range keys {
		if held, ok := key.(*hsm.Key); ok {
			cause = errors.Join(cause, held.Destroy())
		}
	}
	return cause
}

// Found reports why a key that was opened cannot sign: for one in a token, which is asked.
func Found(key crypto.PrivateKey) error {
	if held, ok := key.(*hsm.Key); ok {
		return held.Find()
	}
	return nil
}

// ensureSecret makes the key that the secret of the installation is derived from, for a CA
// whose first issuing key will be in a token. One that is there must open.
func (k keyring) ensureSecret(dir string) error {
	err := k.checkSecret(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return ca.AddSecretKey(dir, k.passphrase)
	}
	return err
}

// checkSecret opens the secret key. The error wraps fs.ErrNotExist where there is none.
func (k keyring) checkSecret(dir string) error {
	_, err := ca.SecretKey(dir, k)
	if errors.Is(err, ca.ErrPassphrase) {
		err = fmt.Errorf("%w; if no CA uses it, move it away", err)
	}
	return err
}

// opensOne tries the passphrase: on secret.key where there is one, else on the key that open
// opens.
func (k keyring) opensOne(dir string, open func(ca.Opener) (crypto.Signer, error)) error {
	err := k.checkSecret(dir)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = open(k)
	}
	return err
}

// secretLabel is under which the secret of the installation is derived. Another label
// would end every session and code.
const secretLabel = "certportal secret of the installation"

// secret derives the secret of the installation: from secret.key where there is one, else
// from the first issuing key, which it gives too. A key in a token cannot be exported.
func (k keyring) secret(dir string, folder *ca.Folder) (portal.Secret, crypto.Signer, error) {
	key, err := ca.SecretKey(dir, k)
	if err == nil {
		secret, err := ca.DeriveSecret(key, secretLabel)
		return secret, nil, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return portal.Secret{}, nil, err
	}
	if key, err = folder.IssuingKey(k); err != nil {
		return portal.Secret{}, nil, err
	}
	if _, held := key.(*hsm.Key); held {
		return portal.Secret{}, nil, fmt.Errorf("%s has no secret.key, on which sessions, codes and the proofs of rows depend: "+
			"copy it from another replica or a backup", dir)
	}
	secret, err := ca.DeriveSecret(key, secretLabel)
	return secret, key, err
}

// KeyPlace is where a key of the CA is.
type KeyPlace struct {
	Token, Label string // empty for a file
}

// KeyPlaceOf reads where the key of the own root or of an issuing CA is. The error wraps
// fs.ErrNotExist where it has no file.
func KeyPlaceOf(folder *ca.Folder, name string) (KeyPlace, error) {
	file, err := folder.KeyFile(name)
	if err != nil || !hsm.IsReference(file) {
		return KeyPlace{}, err
	}
	ref, err := hsm.ParseReference(file)
	return KeyPlace{Token: ref.Token, Label: ref.Label}, err
}
