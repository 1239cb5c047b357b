package config

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"certportal/internal/drift"
)

// checkPeople finds mistakes in where people come from and how they sign in.
func (s *Settings) checkPeople() error {
	errs := []error{s.checkDirectory(), s.checkWatch(), s.checkSignIn(), s.checkOpenID()}
	if !isHostName(s.Directory.Domain) {
		errs = append(errs, mistake("directory.domain", s.Directory.Domain, "write a domain such as corp.example"))
	}
	return errors.Join(errs...)
}

func (s *Settings) checkDirectory() error {
	d := s.Directory
	var errs []error
	if d.Timeout < time.Second || d.Timeout > 30*time.Second {
		errs = append(errs, mistake("directory.timeout", d.Timeout, "choose 1s to 30s"))
	}
	switch d.Kind {
	case KindBuiltin:
		return errors.Join(append(errs, s.checkBuiltin())...)
	case KindActiveDirectory, KindLDAP:
	default:
		return mistake("directory.kind", d.Kind, "choose builtin, active-directory or ldap")
	}
	if len(d.Servers) == 0 {
		errs = append(errs, errors.New("directory.servers: name at least one, such as ldaps://dc1.corp.example"))
	}
	for key, servers := range map[string][]string{"directory.servers": d.Servers, "directory.global_catalog": d.GlobalCatalog} {
		for i, server := range servers {
			errs = append(errs, checkServer(fmt.Sprintf("%s[%d]", key, i), server))
		}
	}
	if d.User == "" {
		errs = append(errs, errors.New("directory.user: name the account the portal reads with, such as certportal@corp.example"))
	}
	if d.Domain == builtinDomain {
		// No UPN ends so: every person would be refused.
		errs = append(errs, errors.New("directory.domain: name the DNS domain of the directory, such as corp.example"))
	}
	if d.Kind == KindLDAP && d.Base == "" {
		errs = append(errs, errors.New("directory.base: name where people are, such as ou=people,dc=corp,dc=example"))
	}
	if d.Kind == KindLDAP && d.Attributes.UPN == "" {
		errs = append(errs, errors.New("directory.attributes.upn: name the attribute that holds the user principal name and that people cannot change themselves"))
	}
	return errors.Join(errors.Join(errs...), s.tryDirectory(errs), s.checkGroups())
}

// checkBuiltin refuses what only a directory elsewhere can do. A group that may
// enrol, say, would otherwise be ignored without a word.
func (s *Settings) checkBuiltin() error {
	d, kinds := s.Directory, KindActiveDirectory+" or "+KindLDAP
	d.Kind, d.Domain, d.Timeout, d.Watch = "", "", 0, WatchSettings{}
	var errs []error
	for _, key := range setKeys(reflect.ValueOf(d), "directory.") {
		errs = append(errs, fmt.Errorf("%s: it does nothing with the built-in directory: set directory.kind to %s too", key, kinds))
	}
	return errors.Join(errs...)
}

// setKeys lists the settings that are not empty.
func setKeys(v reflect.Value, path string) (set []string) {
	for i, key := range settingKeys(v.Type()) {
		field := v.Field(i)
		switch {
		case field.Kind() == reflect.Struct:
			set = append(set, setKeys(field, path+key+".")...)
		case field.Kind() == reflect.Slice && field.Len() == 0, field.IsZero():
		default:
			set = append(set, path+key)
		}
	}
	return set
}

// checkServer refuses what is not the address of an LDAP server.
func checkServer(key, server string) error {
	u, err := url.Parse(server)
	if err == nil && u.User != nil {
		return fmt.Errorf("%s: leave name and password out of the address: directory.user and password_file hold them", key)
	}
	if err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "" ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return mistake(key, server, "write ldaps://HOST, or ldap://HOST for StartTLS")
	}
	return nil
}

func (s *Settings) checkWatch() error {
	w := s.Directory.Watch
	var errs []error
	if w.Every < time.Second || w.Every > 24*time.Hour {
		errs = append(errs, mistake("directory.watch.every", w.Every, "choose 1s to 24h"))
	}
	if w.Grace < time.Second || w.Grace > 60*24*time.Hour {
		errs = append(errs, mistake("directory.watch.grace", w.Grace, "choose 1s to 1440h, which is 60 days"))
	}
	if w.SharePercent < 1 || w.SharePercent > 100 {
		errs = append(errs, mistake("directory.watch.share_percent", w.SharePercent, "choose 1 to 100"))
	}
	if w.Protected != string(drift.ProtectedRevoke) && w.Protected != string(drift.ProtectedAlarm) {
		errs = append(errs, mistake("directory.watch.protected", w.Protected, "choose revoke or alarm"))
	}
	return errors.Join(errs...)
}

func (s *Settings) checkSignIn() error {
	var errs []error
	if n := s.SignIn.Tries; n < 1 || n > 20 {
		errs = append(errs, mistake("sign_in.tries", n, "choose 1 to 20, below the directory's own lock"))
	}
	if n := s.SignIn.TriesPerAddress; n < 1 || n > 100_000 {
		errs = append(errs, mistake("sign_in.tries_per_address", n, "choose 1 to 100000"))
	}
	if w := s.SignIn.Window; w < time.Minute || w > 24*time.Hour {
		errs = append(errs, mistake("sign_in.window", w, "choose 1m to 24h"))
	}
	return errors.Join(errs...)
}

func (s *Settings) checkOpenID() error {
	o := s.OpenID
	if o.Issuer == "" {
		o.Name, o.UPNClaim = "", "" // have defaults
		if set := setKeys(reflect.ValueOf(o), "openid."); len(set) > 0 {
			return fmt.Errorf("%s: name openid.issuer too, else nobody can sign in with it", strings.Join(set, ", "))
		}
		return nil
	}
	var errs []error
	if u, err := url.Parse(o.Issuer); err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		errs = append(errs, mistake("openid.issuer", o.Issuer, "write an address that starts with https://"))
	}
	if o.ClientID == "" {
		errs = append(errs, errors.New("openid.client_id: give the id the provider gave this portal"))
	}
	if strings.TrimSpace(o.Name) == "" {
		errs = append(errs, errors.New("openid.name: give the name people know, such as Corp sign-in"))
	}
	if o.UPNClaim == "" && o.SIDClaim == "" {
		errs = append(errs, errors.New("openid.upn_claim: name the claim with the user principal name, or openid.sid_claim"))
	}
	for key, claim := range map[string]string{"openid.upn_claim": o.UPNClaim, "openid.sid_claim": o.SIDClaim} {
		switch {
		case slices.Contains([]string{"email", "name", "nickname", "given_name", "family_name", "preferred_username", "unique_name"}, claim):
			errs = append(errs, mistake(key, claim, "people can change it at many providers, and become somebody else: choose upn, onprem_sid or the like"))
		case strings.Contains(strings.ToLower(claim), "mail"):
			errs = append(errs, mistake(key, claim, "a mail address does not identify an account: choose upn, onprem_sid or the like"))
		case claim == "sid":
			errs = append(errs, mistake(key, claim, "in OpenID Connect this is the id of the session, not a security identifier"))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.tryOpenID()
}
