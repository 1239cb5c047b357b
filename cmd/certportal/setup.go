package main

import (
	"context"
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/setup"
	"certportal/internal/portal"
)

// setupCommand has a flag for every question. A flag that is not given is nil.
type setupCommand struct {
	Organization  *string `placeholder:"NAME" help:"Name of the company."`
	PublicURL     *string `name:"public-url" placeholder:"https://HOST" help:"Address of the portal."`
	PublicHTTPURL *string `name:"public-http-url" placeholder:"http://HOST" help:"Address of the revocation lists, in every certificate."`
	Listen        *string `placeholder:"ADDRESS:PORT" help:"Of the portal (https)."`
	ListenHTTP    *string `name:"listen-http" placeholder:"ADDRESS:PORT" help:"Of the revocation lists (plain http)."`

	TLSCertificate *string `name:"tls-certificate" placeholder:"FILE" help:"TLS certificate with its chain."`
	TLSKey         *string `name:"tls-key" placeholder:"FILE" help:"Its key."`

	ACMEDirectory   *string `name:"acme-directory" placeholder:"https://HOST/…" help:"ACME server that issues the TLS certificate."`
	ACMEAcceptTerms *string `name:"acme-accept-terms" placeholder:"true" help:"Accept its terms of service."`
	ACMEContact     *string `name:"acme-contact" placeholder:"ADDRESS,…" help:"Mail addresses for the account there."`
	ACMECAFile      *string `name:"acme-ca-file" placeholder:"FILE" help:"CA of its certificate."`

	AnchorFile *string `placeholder:"FILE" help:"Root of the TLS certificates of portal and Exchange, for phones that do not trust it."`

	Directory             *string `placeholder:"KIND" help:"active-directory, ldap or builtin."`
	Domain                *string `placeholder:"NAME" help:"DNS domain of the people."`
	Servers               *string `placeholder:"ldaps://HOST,…" help:"Servers of the directory."`
	DirectoryCAFile       *string `name:"directory-ca-file" placeholder:"FILE" help:"CA of the servers' certificates."`
	DirectoryUser         *string `placeholder:"NAME" help:"Account that reads the directory."`
	DirectoryPasswordFile *string `placeholder:"FILE" help:"File with its password, which the portal reads there."`
	DirectoryBase         *string `placeholder:"DN" help:"Where people are; with ldap."`
	UPNAttribute          *string `name:"upn-attribute" placeholder:"NAME" help:"Attribute with the user principal name; with ldap."`
	UPNSuffixes           *string `name:"upn-suffixes" placeholder:"NAME,…" help:"What user principal names end in."`
	EnrollGroup           *string `placeholder:"GROUP;…" help:"Who may have certificates."`
	AdminGroup            *string `placeholder:"GROUP;…" help:"Who administers the portal."`

	MailHost         *string `placeholder:"HOST" help:"Mail server."`
	MailSecurity     *string `placeholder:"KIND" help:"starttls or tls."`
	MailPort         *string `placeholder:"NUMBER" help:"Its port."`
	MailFrom         *string `placeholder:"ADDRESS" help:"Sender."`
	MailUser         *string `placeholder:"NAME" help:"Account at the mail server."`
	MailPasswordFile *string `placeholder:"FILE" help:"File with its password, which the portal reads there."`
	MailCAFile       *string `name:"mail-ca-file" placeholder:"FILE" help:"CA of the mail server's certificate."`
	Operators        *string `placeholder:"ADDRESS,…" help:"Operators of the portal."`

	DatabaseFile *string `placeholder:"FILE" help:"File with the address of a PostgreSQL database."`
	CA           *string `name:"ca" placeholder:"KIND" help:"own or company."`
	TimeZone     *string `placeholder:"ZONE" help:"Of pages and mail, such as Europe/Berlin."`

	AskNothing bool `help:"Take the default where no flag gives an answer."`
	KeepFailed bool `help:"With --ask-nothing: write the settings although a server did not answer as it should."`
	Replace    bool `help:"Replace settings that are there. The file is kept beside."`
}

// given are the answers of the flags, by key.
func (c setupCommand) given() map[string]string {
	given := map[string]string{}
	for key, answer := range map[string]*string{
		"organization": c.Organization, "public_url": c.PublicURL, "public_http_url": c.PublicHTTPURL, "listen": c.Listen, "listen_http": c.ListenHTTP,
		"tls.certificate": c.TLSCertificate, "tls.key": c.TLSKey,
		"tls.acme.directory": c.ACMEDirectory, "tls.acme.accept_terms": c.ACMEAcceptTerms, "tls.acme.contact": c.ACMEContact, "tls.acme.ca_file": c.ACMECAFile,
		"anchors":        c.AnchorFile,
		"directory.kind": c.Directory, "directory.domain": c.Domain, "directory.servers": c.Servers, "directory.ca_file": c.DirectoryCAFile,
		"directory.user": c.DirectoryUser, "directory.password_file": c.DirectoryPasswordFile, "directory.base": c.DirectoryBase,
		"directory.attributes.upn": c.UPNAttribute, "directory.upn_suffixes": c.UPNSuffixes,
		"directory.groups.enroll": c.EnrollGroup, "directory.groups.admin": c.AdminGroup,
		"mail.host": c.MailHost, "mail.security": c.MailSecurity, "mail.port": c.MailPort, "mail.from": c.MailFrom, "mail.user": c.MailUser, "mail.password_file": c.MailPasswordFile,
		"mail.ca_file": c.MailCAFile, "mail.operators": c.Operators,
		"database_file": c.DatabaseFile, "ca.kind": c.CA, "pages.time_zone": c.TimeZone,
	} {
		if answer != nil {
			given[key] = *answer
		}
	}
	return given
}

// Run asks on the terminal, tries the answers and writes them.
func (c setupCommand) Run(i *invocation) error {
	file, data, service := i.cli.ConfigFile, i.cli.Data, installedService()
	if file == "" && service != nil {
		file = installedSettings
	}
	if file != installedSettings {
		service = nil // another portal on the machine
	}
	if file == "" {
		file = "certportal.yaml"
	}
	if data == "" {
		data = config.Defaults().Data
		if service != nil {
			data = "/var/lib/certportal"
		}
	}
	paths := []*string{&file, &data} // the settings are read from other folders too
	for _, p := range paths {
		whole, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = whole
	}
	err := setup.Run(i.ctx, setup.Config{
		In: i.io.in, Out: i.io.out, Given: c.given(), AskNothing: c.AskNothing, KeepFailed: c.KeepFailed, Replace: c.Replace,
		Settings: file, Data: data, Service: service,
		Check: func(ctx context.Context, s *config.Settings, part string) []portal.Finding {
			return app.CheckPart(ctx, s, part, i.quiet())
		},
	})
	var wrong setup.WrongAnswer
	var missing setup.MissingAnswers
	if errors.As(err, &wrong) || errors.As(err, &missing) {
		return usageError(err.Error())
	}
	return err
}

// installedSettings is the file that the installed unit names.
const installedSettings = "/etc/certportal/certportal.yaml"

// installedService finds the unit and the account of a package, for root, who may give
// files to it. Otherwise it is nil.
func installedService() *setup.Service {
	if os.Geteuid() != 0 {
		return nil
	}
	if _, err := os.Stat("/usr/lib/systemd/system/certportal.service"); err != nil {
		if _, err := os.Stat("/etc/systemd/system/certportal.service"); err != nil {
			return nil
		}
	}
	account, err := user.Lookup("certportal")
	if err != nil {
		return nil
	}
	uid, badUID := strconv.Atoi(account.Uid)
	gid, badGID := strconv.Atoi(account.Gid)
	if badUID != nil || badGID != nil {
		return nil
	}
	return &setup.Service{Account: account.Username, UID: uid, GID: gid, DropIn: "/etc/systemd/system/certportal.service.d/setup.conf"}
}
