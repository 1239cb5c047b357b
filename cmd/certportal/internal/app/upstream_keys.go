package app

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"certportal/ca/upstream/adcs"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/hsm"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/portal"
)

// upstreamKeys read the keys with which the portal signs in to a CA, and signs as an
// enrolment agent, each time they are needed.
type upstreamKeys struct {
	client func() (*tls.Certificate, error) // nil without
	agent  func() (*adcs.Agent, error)      // nil without
}

func keysOf(s config.UpstreamSettings, tokens *hsm.Tokens) upstreamKeys {
	var keys upstreamKeys
	for _, pair := range s.KeyPairs() {
		read := pair.Reader(inTokensOf(tokens))
		switch pair.Setting {
		case config.ClientKey:
			keys.client = read
		case config.AgentKey:
			keys.agent = func() (*adcs.Agent, error) { return agentOf(read) }
		}
	}
	return keys
}

// inTokensOf opens keys in tokens.
func inTokensOf(tokens *hsm.Tokens) config.TokenOpener {
	return func(key config.TokenKey, public crypto.PublicKey) (crypto.Signer, error) {
		held, err := tokens.Key(hsm.Reference{Token: key.Token, Label: key.Object, ID: key.ID, Public: public})
		if err != nil {
			return nil, err // no nil of another type in the interface
		}
		return held, nil
	}
}

func agentOf(read func() (*tls.Certificate, error)) (*adcs.Agent, error) {
	pair, err := read()
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("key of the enrolment agent cannot sign")
	}
	agent := &adcs.Agent{Key: key, Certificate: pair.Leaf}
	for _, der := range pair.Certificate[1:] {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("reading the certificates above the enrolment agent: %w", err)
		}
		agent.Chain = append(agent.Chain, cert)
	}
	return agent, nil
}

// check reports why the portal cannot sign in or sign as an agent, as far as it can see
// itself. Keys in tokens are looked for there.
func (k upstreamKeys) check(now time.Time) error {
	var errs []error
	if k.client != nil {
		pair, err := k.client()
		if err == nil {
			err = errors.Join(valid(pair.Leaf, now), localca.Found(pair.PrivateKey))
		}
		errs = append(errs, about("TLS client certificate", err))
	}
	if k.agent != nil {
		agent, err := k.agent()
		if err == nil {
			err = errors.Join(agent.Check(now), localca.Found(agent.Key))
		}
		errs = append(errs, about("enrolment agent", err))
	}
	return errors.Join(errs...)
}

func about(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

func valid(cert *x509.Certificate, now time.Time) error {
	if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return fmt.Errorf("it is valid from %s to %s only: renew it", cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// upstreamKeyFindings tries the keys for CAs that the portal does not run. A wrong PIN is
// tried once.
func upstreamKeyFindings(s *config.Settings, now time.Time) []portal.Finding {
	var list []portal.Finding
	tokens := localca.Tokens(s)
	defer tokens.Close()
	for _, u := range s.Upstreams {
		if len(u.KeyPairs()) == 0 {
			continue
		}
		f := portal.Finding{What: "upstreams: keys of " + u.Name, State: portal.FindingOK, Text: "they open, and belong to certificates that are valid"}
		if err := keysOf(u, tokens).check(now); err != nil {
			f.State, f.Text = portal.FindingFailed, err.Error()
		}
		list = append(list, f)
	}
	return list
}
