package config

import (
	"cmp"
	"errors"
	"regexp"

	"certportal/internal/deliver"
	"certportal/web"
)

// checkDevices finds mistakes in what goes onto devices.
func (s *Settings) checkDevices() error {
	e, a := s.Exchange, s.Apple
	var errs []error
	if e.Host != "" && !deliver.ValidExchangeHost(e.Host) {
		errs = append(errs, mistake("exchange.host", e.Host, "write a host name such as mail.corp.example, without https://"))
	}
	switch web.UserNameForm(e.UserName) {
	case web.UserNameUPN, web.UserNameMail:
	case web.UserNameDomain:
		if s.exchangeDomain() == "" {
			errs = append(errs, errors.New("exchange.domain: name what stands before the backslash, such as CORP, for user_name: domain"))
		}
	default:
		errs = append(errs, mistake("exchange.user_name", e.UserName, "choose upn, mail or domain"))
	}
	if !deliver.ValidSyncDays(e.syncDays()) {
		errs = append(errs, mistake("exchange.sync_days", e.SyncDays, "choose 1, 3, 7, 14, 31 or 0 for all"))
	}
	if e.Host == "" && (e.SMIMESign || e.SMIMEEncrypt) {
		errs = append(errs, errors.New("exchange.host: name it too, else smime_sign and smime_encrypt do nothing"))
	}
	if a.Identifier != "" && !regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`).MatchString(a.Identifier) {
		errs = append(errs, mistake("apple.identifier", a.Identifier, "write it in reverse DNS form, such as example.corp.certificates"))
	}
	if (a.SignerCertificate == "") != (a.SignerKey == "") {
		errs = append(errs, errors.New("apple: signer_certificate and signer_key go together: give both or none"))
	}
	return errors.Join(errs...)
}

// syncDays converts the setting to deliver.SyncDays, where 0 is the default.
func (e ExchangeSettings) syncDays() deliver.SyncDays {
	if e.SyncDays == 0 {
		return deliver.SyncAll
	}
	return deliver.SyncDays(e.SyncDays)
}

// exchangeDomain is the part of user names before the backslash.
func (s *Settings) exchangeDomain() string { return cmp.Or(s.Exchange.Domain, s.Directory.NetBIOS) }

// ExchangeAccount is the Exchange account of the settings, or nil without one.
func (s *Settings) ExchangeAccount() *web.Exchange {
	e := s.Exchange
	if e.Host == "" {
		return nil
	}
	return &web.Exchange{
		Host: e.Host, UserName: web.UserNameForm(e.UserName), Domain: s.exchangeDomain(), SyncDays: e.syncDays(),
		SMIMESign: e.SMIMESign, SMIMEEncrypt: e.SMIMEEncrypt,
	}
}
