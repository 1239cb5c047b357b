package app

import (
	"context"
	"strconv"

	"certportal/ca"
	"certportal/ca/upstream/adcs/discovery"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/directory"
)

// Discover reads the CAs and certificate templates of the forest, and judges them by what the
// settings want. It changes nothing.
func Discover(ctx context.Context, s *config.Settings, l *directory.LDAP) (discovery.Survey, error) {
	forest, err := directory.ReadForest(ctx, l)
	if err != nil {
		return discovery.Survey{}, err
	}
	return forest.Survey(templateNeeds(s)), nil
}

// templateNeeds is what a template must be for people's certificates, with an enrolment agent.
func templateNeeds(s *config.Settings) discovery.Needs {
	kind := string(s.Certificates.Key)
	bits, _ := strconv.Atoi(kind[max(0, len(kind)-4):]) // rsa-3072
	switch s.Certificates.Key {
	case ca.ECP256:
		bits = 256
	case ca.ECP384:
		bits = 384
	}
	n := discovery.Needs{KeyBits: bits, Validity: s.Validity(), Slack: ca.ForeignSlack, Agent: true}
	names := s.Certificates.Usages
	if len(names) == 0 {
		names = []string{"clientAuth", "emailProtection", "efs"}
	}
	for _, name := range names {
		n.Usages = append(n.Usages, map[string]string{
			"clientAuth": "1.3.6.1.5.5.7.3.2", "emailProtection": "1.3.6.1.5.5.7.3.4", "efs": "1.3.6.1.4.1.311.10.3.4",
		}[name])
	}
	return n
}

// discover is Discover for pages; nil without Active Directory.
func (p *App) discover() func(context.Context) (discovery.Survey, error) {
	if p.ldap == nil || p.Settings.LDAPConfig().Kind != directory.ActiveDirectory {
		return nil
	}
	return func(ctx context.Context) (discovery.Survey, error) { return Discover(ctx, p.Settings, p.ldap) }
}
