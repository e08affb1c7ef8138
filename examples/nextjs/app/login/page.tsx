import { signIn } from '../actions';

export default function Login() {
  return (
    <form action={signIn}>
      <button name="user" value="ann">Sign in as Ann</button> <button name="user" value="bob">Sign in as Bob</button>
    </form>
  );
}
