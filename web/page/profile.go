package page

import (
	"slices"
	"strings"
)

// ProfileTexts are the words inside an Apple profile, in one language.
type ProfileTexts struct {
	Name        string // of the profile
	Description string
	Consent     string // lines that a person must agree to
	Identity    string // title of the certificate in the profile
}

// ProfileTexts returns the texts of the profile for a device of that name. An unknown
// language is English. With mailbox they explain that the profile adds an account, and
// what the company can then do to the device; anchors is how many certificates the
// device will trust.
func (r *Renderer) ProfileTexts(lang, device string, mailbox bool, anchors int) (ProfileTexts, error) {
	v := view{r: r, lang: r.words.Known(lang), page: Install{}}
	services, err := v.Services()
	if err != nil {
		return ProfileTexts{}, err
	}
	about, consent := "profile.about", "profile.consent"
	if mailbox {
		about, consent = about+".mail", consent+".mail"
	}
	lines := []profileLine{
		{key: "profile.name"}, {key: about}, {key: "profile.identity"}, {key: consent}, {key: "profile.consent.end"},
	}
	if anchors > 0 {
		lines = slices.Insert(lines, 4, profileLine{"profile.consent.trust", []any{"Count", anchors}})
	}
	said := make([]string, len(lines))
	for i, line := range lines {
		words, err := v.phrase(line.key, append(line.args, "Device", device, "Services", services)...)
		if err != nil {
			return ProfileTexts{}, err
		}
		said[i] = string(words)
	}
	return ProfileTexts{
		Name: said[0], Description: said[1], Identity: said[2], Consent: strings.Join(said[3:], "\n"),
	}, nil
}

// profileLine is a sentence of a profile. Only one that counts something is given
// a Count: it picks a plural form, which the others lack.
type profileLine struct {
	key  string
	args []any
}
