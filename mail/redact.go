package mail

import (
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"stockflow/codecs"
)

// redactError returns an error of writing or sending an e-mail without the address that it was to. A *Refused stays one, with a
// reason that the log takes.
func redactError(err error, address string) error {
	var refused *Refused
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return refuse(redact(refused.Reason, address))
	}
	return errors.New(redact(err.Error(), address))
}

// redact takes out of a text whatever looks like an e-mail address, and what of this address a server may name alone: what stands
// before its @, with and without what follows a plus sign.
func redact(text, address string) string {
	local := address
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		local = address[:at]
	}
	text = redactWord(codecs.RedactAddresses(redactWord(text, address)), local)
	if user, _, tagged := strings.Cut(local, "+"); tagged {
		text = redactWord(text, user)
	}
	return text
}

// redactWord replaces a word, in capitals or not, where it isn't part of a longer one.
func redactWord(text, word string) string {
	if word == "" {
		return text
	}
	var b strings.Builder
	end := 0
	for _, at := range regexp.MustCompile(`(?i)`+regexp.QuoteMeta(word)).FindAllStringIndex(text, -1) {
		before, _ := utf8.DecodeLastRuneInString(text[:at[0]])
		after, _ := utf8.DecodeRuneInString(text[at[1]:])
		if !inWord(before) && !inWord(after) {
			b.WriteString(text[end:at[0]] + codecs.Redacted)
			end = at[1]
		}
	}
	return b.String() + text[end:]
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
