package page

import (
	"slices"
	"strings"

	"golang.org/x/text/language"

	"certportal/internal/catalogue"
)

// The languages of the catalogues, as Frame.Lang names them.
const (
	English = catalogue.English
	German  = catalogue.German
	Chinese = catalogue.Chinese
)

// Languages lists the languages in the order of the links in the footer.
func Languages() []string { return catalogue.Languages() }

// maxAcceptLanguage bounds what is parsed of the header, in bytes. Browsers send
// under 100.
const maxAcceptLanguage = 500

// Match chooses the language of a page: the query ?lang= before the cookie
// before the Accept-Language header, else English. Traditional Chinese (zh-TW,
// zh-HK, zh-Hant) gets English: its readers asked for another script.
func Match(acceptLanguage, query, cookie string) string {
	for _, chosen := range []string{query, cookie} {
		if slices.Contains(Languages(), chosen) {
			return chosen
		}
	}
	if len(acceptLanguage) > maxAcceptLanguage {
		return English
	}
	tags, _, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil {
		return English
	}
	for _, tag := range tags {
		if lang, ok := spoken(tag); ok {
			return lang
		}
	}
	return English
}

// spoken finds the catalogue for one tag, by base language and script alone: a
// matcher would offer simplified characters to readers of traditional ones.
func spoken(tag language.Tag) (string, bool) {
	base, _ := tag.Base()
	script, _ := tag.Script()
	switch base.String() {
	case "en":
		return English, true
	case "de":
		return German, true
	case "zh":
		if script.String() == "Hans" {
			return Chinese, true
		}
		return English, strings.EqualFold(script.String(), "Hant")
	}
	return "", false
}
