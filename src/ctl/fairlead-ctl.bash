# Completes the words of fairlead-ctl in bash: commands, options, and the names of backends and strategies, which are
# asked from the server that the words or the environment name.

# Prints what `fairlead-ctl ... "$@"` says, without waiting long or complaining. Keeps the connection's options.
_fairlead_ctl_ask() {
    local i=1 options=()
    while ((i < COMP_CWORD)); do
        case ${COMP_WORDS[i]} in
            --server-url | --api-key)
                # Readline has cut "http://host:5000" at its colons.
                local j=$((i + 1)) value
                if [[ ${COMP_WORDS[j]} == = ]]; then j=$((j + 1)); fi
                value=${COMP_WORDS[j]}
                j=$((j + 1))
                while ((j < COMP_CWORD)) && [[ ${COMP_WORDS[j]} == :* || ${COMP_WORDS[j - 1]} == : ]]; do
                    value+=${COMP_WORDS[j]}
                    j=$((j + 1))
                done
                options+=("${COMP_WORDS[i]}" "$value")
                i=$j
                ;;
            *) i=$((i + 1)) ;;
        esac
    done
    "${COMP_WORDS[0]}" "${options[@]}" --request-timeout 2 "$@" 2>/dev/null
}

# The names of the backends: the first column below the titles, up to two blanks.
_fairlead_ctl_backends() {
    LC_ALL=C _fairlead_ctl_ask list | sed -n '3,$s/  .*//p'
}

_fairlead_ctl_strategies() {
    LC_ALL=C _fairlead_ctl_ask strategy get | sed -n 's/^available strategies *//p' | tr -d ' ' | tr ',' '\n'
}

# Offers the lines that begin with the current word, each quoted as one word: they come from a server, and compgen -W
# would expand what stands in them.
_fairlead_ctl_offer() {
    local line
    while IFS= read -r line; do
        if [[ -n $line && $line == "$current"* ]]; then COMPREPLY+=("$(printf '%q' "$line")"); fi
    done
}

_fairlead_ctl() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local commands='status list add remove enable disable drain health-check strategy metrics health-check-control watch'
    local options='--server-url --api-key --request-timeout --json --help --version'
    local command='' sub='' i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --server-url | --api-key | --request-timeout) i=$((i + 1)) ;;
            -* | : | //* | [0-9]*) ;;
            *)
                if [[ -z $command ]]; then
                    if [[ " $commands " == *" ${COMP_WORDS[i]} "* ]]; then command=${COMP_WORDS[i]}; fi
                elif [[ -z $sub ]]; then
                    sub=${COMP_WORDS[i]}
                fi
                ;;
        esac
    done

    COMPREPLY=()
    local words=''
    case $command in
        '') words="$commands $options" ;;
        add)
            words="--name --url --model-name --backend-api-key --weight --max-connections --timeout --priority --tag"
            words+=" $options"
            ;;
        remove | enable | disable | drain | health-check)
            words=$options
            if [[ $command == drain ]]; then words+=' --wait'; fi
            ;;
        strategy)
            case $sub in
                '') words="get set $options" ;;
                set) words="--strategy --health-check-interval --max-retries --failure-threshold $options" ;;
                *) words=$options ;;
            esac
            ;;
        health-check-control) words="start stop $options" ;;
        watch) words="--interval --count $options" ;;
        *) words=$options ;;
    esac

    case $previous in
        --strategy)
            _fairlead_ctl_offer < <(_fairlead_ctl_strategies)
            return 0
            ;;
        # Their values are the operator's own.
        --server-url | --api-key | --request-timeout | --name | --url | --model-name | --backend-api-key) return 0 ;;
        --weight | --max-connections | --timeout | --priority | --tag | --interval | --count) return 0 ;;
        --health-check-interval | --max-retries | --failure-threshold) return 0 ;;
        *)
            case $command in
                remove | enable | disable | drain | health-check)
                    if [[ -z $sub && $current != -* ]]; then
                        _fairlead_ctl_offer < <(_fairlead_ctl_backends)
                        return 0
                    fi
                    ;;
            esac
            ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    return 0
}

complete -F _fairlead_ctl fairlead-ctl
