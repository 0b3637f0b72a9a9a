package cli

// deadLetters is what is done about messages that no machine could take.
type deadLetters struct {
	List    listDeadLetters    `cmd:"" help:"List the dead letters, the newest first, each once."`
	Show    showDeadLetter     `cmd:"" help:"Print all there is of one."`
	Redrive redriveDeadLetters `cmd:"" help:"Send letters to their logs again."`
	Skip    skipMessage        `cmd:"" help:"Have a partition go on behind a message that it has stopped at."`
}
