# SPDX-License-Identifier: GPL-2.0-or-later
# Completion of mallocpath's command line for bash. Commands, options and the words some options take are
# asked of the program itself, so that none is missing and none too many.

# _mallocpath_say ARG...: what the program says to that, in one line
_mallocpath_say()
{
	"${COMP_WORDS[0]}" "$@" 2>&1 </dev/null | tr -s '\n ' ' '
}

# _mallocpath_words OPTION: what it takes, where that is one of a few words
_mallocpath_words()
{
	case $1 in
	--view | --sort | --metric | --alloc | --fault-source | --at)
		_mallocpath_say "$1" '?' | sed -n 's/^mallocpath: [^:]*: one of \([a-z, -]*\).*/\1/p' |
			tr ',' ' ' | sed 's/ Try$//'
		;;
	--only)
		_mallocpath_say trace --only '?' | sed -n 's/.*: some of \([a-z, ]*\), with.*/\1/p' | tr ',' ' '
		;;
	-p | --pid)
		ps -e -o pid= 2>/dev/null
		;;
	esac
}

_mallocpath_commands()
{
	_mallocpath_say --help | sed -n 's/.*Commands: \([a-z, ]*\);.*/\1/p' | tr ',' ' '
}

# _mallocpath_options COMMAND
_mallocpath_options()
{
	_mallocpath_say ${1:+"$1"} --help | grep -Eo -- ' --[a-z][a-z-]*' | sort -u
}

_mallocpath()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command='' words i
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		# what is traced has a completion of its own
		[[ ${COMP_WORDS[i]} != -- ]] || return 0
	done
	if [[ $cur == = ]]; then
		cur=''
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	[[ ${COMP_WORDS[1]:-} == -* || $COMP_CWORD == 1 ]] || command=${COMP_WORDS[1]}
	words=$(_mallocpath_words "$prev")
	if [[ -n $words ]]; then
		:
	elif [[ $cur == -* ]]; then
		words=$(_mallocpath_options "$command")
	elif ((COMP_CWORD == 1)); then
		words=$(_mallocpath_commands)
	else
		return 0 # a file
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -o default -F _mallocpath mallocpath
