package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

const tokenScheme = "pkcs11:"

// TokenKey says where a key in hardware is.
type TokenKey struct {
	Token  string // label
	Object string // label of the key; empty: any
	ID     []byte // CKA_ID of the key; empty: any
}

// ParseTokenKey reads the address of a key in a token (RFC 7512): token, and object or id.
// What other attributes say about maker and model of the token is not compared: the key
// itself is, with its certificate.
func ParseTokenKey(uri string) (TokenKey, error) {
	path, ok := strings.CutPrefix(uri, tokenScheme)
	if !ok {
		return TokenKey{}, fmt.Errorf("address of a key in a token begins with %s", tokenScheme)
	}
	path, _, query := strings.Cut(path, "?")
	if query {
		return TokenKey{}, errors.New("the address of the key has a ?: leave out what follows; the module is in ca.pkcs11.module, " +
			"the PIN in the file that the setting for its passphrase names")
	}
	var k TokenKey
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(path, ";") {
		name, text, _ := strings.Cut(part, "=")
		value, err := url.PathUnescape(text)
		if err != nil || value == "" || seen[name] {
			return TokenKey{}, fmt.Errorf("address of a key in a token: %q is empty, there twice, or has a wrong %% in it", name)
		}
		seen[name] = true
		switch name {
		case "token":
			k.Token = value
		case "object":
			k.Object = value
		case "id":
			k.ID = []byte(value)
		case "type":
			if value != "private" {
				return TokenKey{}, fmt.Errorf("address of a key in a token: type is %q, and a private key is needed", value)
			}
		case "model", "manufacturer", "serial":
		default:
			return TokenKey{}, fmt.Errorf("address of a key in a token: %q is not known: write token, object and id", name)
		}
	}
	if k.Token == "" || k.Object == "" && len(k.ID) == 0 {
		return TokenKey{}, errors.New("address of a key in a token: write pkcs11:token=LABEL;object=LABEL, or id=%01 in the place of object")
	}
	return k, nil
}

// checkKeys checks where keys are and who opens them.
func (u UpstreamSettings) checkKeys(at string) error {
	var errs []error
	for setting, pair := range map[string][2]string{
		"key": {u.Key, u.KeyPassphraseFile}, "agent_key": {u.AgentKey, u.AgentKeyPassphraseFile},
	} {
		key, passphrase := pair[0], pair[1]
		if key == "" && passphrase != "" {
			errs = append(errs, fmt.Errorf("%s.%s_passphrase_file: is of no use without %s", at, setting, setting))
		}
		if !strings.HasPrefix(key, tokenScheme) {
			continue
		}
		if _, err := ParseTokenKey(key); err != nil {
			errs = append(errs, fmt.Errorf("%s.%s: %w", at, setting, err))
		}
	}
	return errors.Join(errs...)
}

// TokenPIN is a token that the settings name, and the file with its PIN.
type TokenPIN struct {
	Token, File string
	Setting     string // that names the file
}

// UpstreamTokens lists the tokens with keys for CAs that the portal does not run, once for
// each key. Addresses that cannot be read are left out.
func (s *Settings) UpstreamTokens() []TokenPIN {
	var list []TokenPIN
	for i, u := range s.Upstreams {
		for _, pair := range u.KeyPairs() {
			if key, err := ParseTokenKey(pair.Key); err == nil {
				list = append(list, TokenPIN{key.Token, pair.PassphraseFile, fmt.Sprintf("upstreams[%d].%s", i, pair.passphraseSetting())})
			}
		}
	}
	return list
}

// checkUpstreamTokens checks that each token has one PIN. Tokens of the CA have theirs.
func (s *Settings) checkUpstreamTokens() error {
	var errs []error
	p := s.CA.PKCS11
	files := map[string]string{}
	for token, file := range map[string]string{p.RootToken: p.RootPINFile, p.IssuingToken: p.IssuingPINFile} {
		if token != "" {
			files[token] = file
		}
	}
	for _, one := range s.UpstreamTokens() {
		known, there := files[one.Token]
		switch {
		case p.Module == "":
			errs = append(errs, fmt.Errorf("ca.pkcs11.module: name the shared library of the HSM: the token %q of %s is in it", one.Token, one.Setting))
		case there && one.File != known && one.File != "":
			errs = append(errs, mistake(one.Setting, one.File, fmt.Sprintf("the token %s has one PIN: name the same file everywhere", one.Token)))
		case !there && one.File == "":
			errs = append(errs, fmt.Errorf("%s: name the file with the PIN of the token %q", one.Setting, one.Token))
		case !there:
			files[one.Token] = one.File
		}
	}
	return errors.Join(errs...)
}
