package config

import (
	"errors"

	"certportal/internal/helpdesk"
)

// HelpdeskSettings are printed on pages where people may need help, and say how the
// helpdesk lets people in with pickup codes.
type HelpdeskSettings struct {
	// Telephone number, as people dial it.
	Phone string `yaml:"phone"`

	// E-mail address.
	Mail string `yaml:"mail"`

	// Opening hours, such as: Monday to Friday, 8 to 18. By language, as in
	// pages.services.
	Hours Text `yaml:"hours"`

	// Telephone number outside these hours, for lost devices.
	AfterHoursPhone string `yaml:"after_hours_phone"`

	// Hours a pickup code may be used, 1 to 168.
	CodeHours int `yaml:"code_hours"`

	// Pickup codes one of the staff may make within an hour. Then comes a pause,
	// which is in the audit log.
	CodesPerHour int `yaml:"codes_per_hour"`

	// A pickup code works only when another one of helpdesk or administrators
	// approved it. Codes are then mailed to the person and shown to no staff:
	// needs mail.host.
	SecondApprover bool `yaml:"second_approver"`

	// No certificate without a pickup code, for new devices, new files and
	// renewals alike; only a device that renews by itself with the key it has needs
	// none.
	CodeRequired bool `yaml:"code_required"`

	// A pickup code whose maker saw the person replaces their password, once, for
	// one certificate. All codes are then mailed to the person and shown to no staff:
	// needs mail.host. Their mailbox must not be reached by a colleague.
	CodeAlone bool `yaml:"code_alone"`
}

func defaultHelpdesk() HelpdeskSettings {
	return HelpdeskSettings{CodeHours: 24, CodesPerHour: helpdesk.CodesPerHour}
}

func (s *Settings) checkHelpdesk() error {
	var errs []error
	if h := s.Helpdesk.CodeHours; h < 1 || h > 168 {
		errs = append(errs, mistake("helpdesk.code_hours", h, "choose 1 to 168"))
	}
	if n := s.Helpdesk.CodesPerHour; n < 1 || n > 1000 {
		errs = append(errs, mistake("helpdesk.codes_per_hour", n, "choose 1 to 1000"))
	}
	return errors.Join(errs...)
}
